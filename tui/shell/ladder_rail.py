"""The ladder rail: prompt, RAG, tune, with their scores, and where the user stands. In sight on every screen."""

from textual.content import Content

from rung.tui.text.glyphs import Glyphs
from rung.tui.text.words import score
from rung.tui.watch.ladder import Ladder, Standing
from rung.tui.widgets.text_panel import TextPanel

TITLES = {"prompt": "Prompt", "rag": "RAG", "tune": "Tune"}


class LadderRail(TextPanel):
    """Three lines and a target where there is room, one line below 100 columns."""

    BORDER_TITLE = "Ladder"

    def show(self, ladder: Ladder | None, running: bool, marks: Glyphs, one_line: bool) -> None:
        """Show what is measured, None until it is read; `running` when a run of this project goes on."""
        if ladder is None:
            self.put(Content.styled("Ladder  Reading …" if one_line else "Reading …", "$muted"))
            return
        self.put(ladder_line(ladder, running, marks) if one_line else ladder_table(ladder, running, marks))


def ladder_line(ladder: Ladder, running: bool, marks: Glyphs) -> Content:
    """`Prompt .41 → RAG .58 → Tune –  target .80`."""
    arrow = ("  >  " if marks.cut == "~" else "  →  ", "$muted")
    parts: list[Content | tuple[str, str]] = [("Ladder  ", "$muted")]
    for index, standing in enumerate(ladder.standings):
        if index:
            parts.append(arrow)
        parts.append((f"{TITLES[standing.rung]} ", "bold" if standing.chosen else ""))
        parts.append(_value(standing, running, marks, with_interval=False))
    if ladder.target is not None:
        parts.append((f"   target {score(ladder.target)}", "$muted"))
    return Content.assemble(*parts)


def ladder_table(ladder: Ladder, running: bool, marks: Glyphs) -> Content:
    """One line a rung, then the target and the metric."""
    lines: list[Content] = []
    for number, standing in enumerate(ladder.standings, start=1):
        name = (f"{number} {TITLES[standing.rung]:<6} ", "bold" if standing.chosen else "")
        lines.append(Content.assemble(name, _value(standing, running, marks, with_interval=True)))
    target = score(ladder.target) if ladder.target is not None else "none set"
    lines.append(Content.assemble(("target   ", "$muted"), target))
    if ladder.metric:
        lines.append(Content.styled(ladder.metric, "$muted"))
    return Content("\n").join(lines)


def _value(standing: Standing, running: bool, marks: Glyphs, with_interval: bool) -> Content:
    if standing.score is None:
        if standing.rung == "tune" and running:
            return Content.styled(f"{marks.states['running']} running", "$text-success")
        return Content.styled("–" if marks.cut != "~" else "-", "$muted")
    text = score(standing.score)
    if with_interval and standing.low is not None and standing.high is not None:
        half = (standing.high - standing.low) / 2
        text += f" {'±' if marks.cut != '~' else '+-'}{score(half)}"
    chosen = f" {marks.yes}" if standing.chosen else ""
    return Content.styled(text + chosen, "bold" if standing.chosen else "")
