"""A climb in words: which rung is on, how far and how long still, and before its end that there is no verdict yet."""

from collections.abc import Mapping
from typing import Any

from rung.engine.ladder.climb_state import ClimbState, RungState
from rung.engine.ladder.spec import RUNGS
from rung.tui.text.glyphs import UNICODE, Glyphs, bar
from rung.tui.text.words import count, duration, one_line, printable

TITLES = {"prompt": "prompt", "rag": "RAG", "tune": "tune"}
NO_VERDICT = "No verdict yet: it comes at the climb's end."
BAR_WIDTH = 12
WHY_WIDTH = 160
GO_ON = "What is measured stays; rung climb goes on from here."


def has_verdict(board: Mapping[str, Any], climb: ClimbState | None) -> bool:
    """Whether the scoreboard's verdict may be shown: there is one, and no climb is about to change it."""
    return board.get("verdict") is not None and not (climb is not None and climb.going)


def climb_headline(climb: ClimbState | None) -> str:
    """How a climb without a verdict is doing, and how one goes on with it."""
    if climb is None or climb.decided:
        return f"The climb is not at its end. {GO_ON}"
    if climb.going:
        return f"The climb {'waits for its turn' if climb.status == 'queued' else 'goes on'}. {NO_VERDICT}"
    ended = {"crashed": "was killed", "failed": "failed"}.get(climb.status, f"was {climb.status}")
    why = f": {printable(one_line(climb.message, WHY_WIDTH)).rstrip('.')}" if climb.message else ""
    return f"The climb {ended} before its end{why}. {GO_ON}"


def rung_lines(climb: ClimbState, marks: Glyphs = UNICODE) -> list[str]:
    """One line a rung of the climb, the lowest first."""
    known = [(rung, climb.rungs[rung]) for rung in RUNGS if rung in climb.rungs]
    lines = []
    for rung, state in known:
        words = _rung_words(state, climb.going, marks)
        if rung == "tune" and state.status == "waiting" and state.seconds_left is not None and climb.going:
            words += " and the training"
        lines.append(f"{TITLES[rung]:<7} {words}")
    return lines


def progress_words(event: Mapping[str, Any], marks: Glyphs = UNICODE) -> str:
    """`RAG ▇▇▇░░░ 25 %  34 of 120 answers  left 00:01:20`, from a rung_progress event."""
    climb = ClimbState("running")
    climb.take(dict(event))
    rung = str(event.get("rung"))
    return f"{TITLES.get(rung, rung)} {_rung_words(climb.rungs.get(rung, RungState()), True, marks)}"


def _rung_words(state: RungState, going: bool, marks: Glyphs) -> str:
    if state.status == "going" and not going:
        return f"broken off, {_amount(state)}" if state.done else "broken off"
    if state.status == "going":
        fraction = state.done / state.total if state.total else 0.0
        left = "–" if state.seconds_left is None else duration(state.seconds_left)
        amount = f"  {_amount(state)}" if state.total else ""
        return f"{bar(fraction, BAR_WIDTH, marks)} {min(1.0, fraction):4.0%}{amount}  left {left}"
    if state.status == "waiting" and state.seconds_left is not None and going:
        return f"not begun  takes about {duration(state.seconds_left)}"
    if state.status in ("skipped", "failed"):
        return f"{state.status}: {printable(one_line(state.why, WHY_WIDTH))}"
    return {"waiting": "not begun", "through": "measured"}[state.status]


def _amount(state: RungState) -> str:
    of = f" of {count(state.total)}" if state.total else ""
    return f"{count(state.done)}{of} {printable(state.unit)}"
