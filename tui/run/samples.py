"""Pinned prompts: what the base answers, what the model answers now, and what was wanted; and pairs of AI feedback."""

from typing import Any

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content

from rung.tui.text.glyphs import Glyphs
from rung.tui.text.words import one_line, printable
from rung.tui.watch.watched_run import READING, WatchedRun
from rung.tui.widgets.hanging import hanging
from rung.tui.widgets.text_panel import TextPanel
from rung.tui.widgets.titles import set_titles

LABEL_WIDTH = 10


class SamplesPanel(VerticalScroll):
    """One prompt at a time; earlier answers to it can be looked at. After the pinned ones come the pairs."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._prompt = 0
        self._back = 0
        self._last: tuple[WatchedRun, Glyphs] | None = None

    def compose(self) -> ComposeResult:
        yield TextPanel(classes="auto")

    def show(self, run: WatchedRun, marks: Glyphs) -> None:
        """Show the chosen prompt's answers."""
        self._last = (run, marks)
        by_prompt, pairs = samples_by_prompt(run), run.state.pairs
        if not by_prompt and not pairs:
            set_titles(self, "Pinned prompts")
            words = "No sample yet: they come with each evaluation."
            if not run.caught_up:
                words = READING
            elif run.state.over:
                words = "No sample in this run."
            self.query_one(TextPanel).put(Content.styled(words, "$muted"))
            return
        self._prompt %= len(by_prompt) + len(pairs)
        if self._prompt >= len(by_prompt):
            self._show_pair(pairs, self._prompt - len(by_prompt))
            return
        samples = by_prompt[self._prompt]
        self._back = min(self._back, len(samples) - 1)
        sample = samples[-1 - self._back]
        title = one_line(str(sample.get("prompt", "")), max(12, self.size.width - 30))
        place = f"[ ] prompt  < > step ({len(samples) - self._back}/{len(samples)})"
        set_titles(self, f"Pinned prompt {self._prompt + 1}/{len(by_prompt)}  {title}", place)
        self.query_one(TextPanel).put(sample_text(sample, marks, self.scrollable_content_region.width))

    def turn_prompt(self, by: int) -> None:
        """The next or the one before."""
        self._prompt, self._back = self._prompt + by, 0
        self._again()

    def turn_step(self, by: int) -> None:
        """An earlier (by < 0) or later answer."""
        self._back = max(0, self._back - by)
        self._again()

    def _show_pair(self, pairs: list[dict[str, Any]], number: int) -> None:
        """The newest pair first: it is the one that has just come."""
        pair = pairs[-1 - number]
        title = one_line(str(pair.get("prompt", "")), max(12, self.size.width - 30))
        set_titles(self, f"Pair {number + 1}/{len(pairs)}, newest first  {title}", "[ ] pair")
        self.query_one(TextPanel).put(pair_text(pair, self.scrollable_content_region.width))

    def _again(self) -> None:
        if self._last is not None:
            self.show(*self._last)


def samples_by_prompt(run: WatchedRun) -> list[list[dict[str, Any]]]:
    """The samples of each prompt, oldest first, prompts in the order they came."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for sample in run.state.samples:
        groups.setdefault(str(sample.get("prompt", "")), []).append(sample)
    return list(groups.values())


def sample_text(sample: dict[str, Any], marks: Glyphs, width: int) -> Content:
    """Prompt, base, current and reference; whether the current answer is the reference is said."""
    current, reference = str(sample.get("current", "")), sample.get("reference")
    rows = [("prompt", str(sample.get("prompt", "")), "$muted"), ("base", str(sample.get("base", "")), "")]
    verdict = ""
    if reference is not None:
        same = current.strip() == str(reference).strip()
        verdict = f"{marks.yes} as wanted" if same else f"{marks.no} not as wanted"
    rows.append((f"step {sample.get('step')}", current, "bold"))
    if reference is not None:
        rows.append(("wanted", str(reference), ""))
    lines = [_row(label, text, style, width) for label, text, style in rows]
    if verdict:
        lines.append(Content.assemble(" " * LABEL_WIDTH, (verdict, "bold")))
    return Content("\n").join(lines)


def pair_text(pair: dict[str, Any], width: int) -> Content:
    """Prompt, first answer, principle, critique, revised answer, and what the judge says of the two."""
    styles = {"prompt": "$muted", "principle": "$muted", "critique": "$muted", "revised": "bold"}
    names = ("prompt", "first", "principle", "critique", "revised", "judge")
    return Content("\n").join(
        _row(name, str(pair[name]), styles.get(name, ""), width) for name in names if pair.get(name) is not None
    )


def _row(label: str, text: str, style: str, width: int) -> Content:
    shown = Content.styled(printable(text).strip("\n") or "(nothing)", style)
    return hanging(Content.styled(f"{label:<{LABEL_WIDTH}}", "$text-accent"), shown, width)
