"""The line that says how a run ended, or what is wrong with it, and what can be done."""

from typing import Any

from textual.content import Content

from rung.engine.machine.oom_kills import KILLED, KILLED_HINT
from rung.tui.text.glyphs import STATE_COLORS, Glyphs
from rung.tui.text.words import figure, one_line, printable
from rung.tui.watch.watched_run import WatchedRun
from rung.tui.widgets.text_panel import TextPanel


class Banner(TextPanel):
    """There only when a run is over or its worker is gone."""

    def show(self, run: WatchedRun, marks: Glyphs, can_compare: bool) -> None:
        """Say how it ended; nothing while it goes on."""
        content = banner_text(run, marks, can_compare)
        self.display = content is not None
        if content is not None:
            self.put(content)


def banner_text(run: WatchedRun, marks: Glyphs, can_compare: bool) -> Content | None:
    """One or two lines for a run that is over; None while it goes on."""
    if run.status not in {"finished", "failed", "crashed", "stopped", "cancelled", "preempted"}:
        return None
    head = (f"{marks.states[run.status]} {run.status}  ", f"bold {STATE_COLORS[run.status]}")
    resume = "R resumes it" if run.resumable else ""
    result = run.state.result
    if run.status == "finished":
        words = [
            str(result.get("outcome") or ", ".join(_final_figures(result.get("metrics") or {}, marks)[:3])),
            f"kept: {result.get('chosen_checkpoint', '')}",
            str(result.get("artifact", "")),
        ]
        next_key = "c compares" if can_compare else ""
        worse = one_line(str(result.get("worse") or ""), 200)
        return Content.assemble(
            head,
            one_line(" · ".join(word for word in words if word), 300),
            (f"\n! {worse}" if worse else "", "bold $text-warning"),
            _next(next_key),
        )
    if run.status == "failed":
        # What happened and where: the first line of the details names file, line or field.
        details = str(result.get("details") or "").split("\n")[0]
        message = one_line(" · ".join(part for part in (str(result.get("message", "")), details) if part), 300)
        hint = one_line(str(result.get("hint", "")), 200)
        return Content.assemble(head, message, (f"\n{hint}" if hint else "", ""), _next(resume))
    if run.status == "crashed":
        if run.out_of_memory:
            return Content.assemble(head, f"the worker is gone: {KILLED}\n{KILLED_HINT}", _next(resume))
        what = "the worker is gone; its last words are in the log"
        return Content.assemble(head, what, _next(resume))
    if result.get("reason"):
        return Content.assemble(head, one_line(str(result["reason"]), 300), _next(resume))
    saved = "saved" if result.get("resumable") else "not saved"
    return Content.assemble(head, f"at step {run.state.step:,}, {saved}", _next(resume))


def _final_figures(metrics: dict[str, Any], marks: Glyphs) -> list[str]:
    """`loss 4.73 → 4.10` where there is a figure from before training, else `name value`; the loss first."""
    arrow = "->" if marks.cut == "~" else "→"
    after = {
        name: value
        for name, value in metrics.items()
        if isinstance(value, (int, float)) and name != "n" and not name.endswith("_before")
    }
    words = []
    for name in sorted(after, key=lambda name: ("loss" not in name, "perplexity" not in name)):
        before = metrics.get(f"{name}_before")
        change = f"{figure(before)} {arrow} " if isinstance(before, (int, float)) else ""
        words.append(f"{printable(name)} {change}{figure(after[name])}")
    return words


def _next(key: str) -> tuple[str, str]:
    return (f"  {key}" if key else "", "$text-accent")
