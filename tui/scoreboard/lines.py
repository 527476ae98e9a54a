"""The scoreboard's rows as text: one or two lines a candidate, one a pair, the verdict with its reasons."""

from collections.abc import Mapping, Sequence
from typing import Any

from textual.content import Content

from rung.engine.ladder.board_words import headline_of, held_out_words
from rung.engine.ladder.break_even import break_even_lines
from rung.engine.ladder.report import gain_lines
from rung.engine.training.probe.forgot import forgot_words
from rung.tui.text.climbs import NO_VERDICT
from rung.tui.text.glyphs import Glyphs
from rung.tui.text.interval_bar import interval_bar, scale_of
from rung.tui.text.words import figure, one_line, printable, score

RUNG_WORDS = {"prompt": "prompt", "rag": "RAG", "tune": "tune"}
LABEL_WIDTH = 30
_FIGURES = 44


def head_line(board: Mapping[str, Any], narrow: bool) -> Content:
    """What the columns mean: metric, number of examples, how often the held-out rows were looked at."""
    target = board.get("target")
    said = (
        f"{board.get('metric', '')} on {held_out_words(board)} · 95 % intervals"
        f" · target {score(target) if target is not None else 'none set'}"
    )
    if not narrow:
        said += " · tokens per prompt + answer, seconds per answer (median)"
    if board.get("judge"):
        said += f"\njudge: {printable(str(board['judge']))}"
    return Content.styled(said, "$muted")


def candidate_lines(board: Mapping[str, Any], row: Mapping[str, Any], marks: Glyphs, width: int) -> Content:
    """One candidate: rung, label, score and interval as figures and as a bar, cost; two lines where it is narrow.

    What its training made the model forget stands on a line of its own.
    """
    named = one_line(f"{RUNG_WORDS.get(str(row['rung']), row['rung'])}: {row['label']}", LABEL_WIDTH)
    chosen = marks.yes if row.get("chosen") else " "
    scored = f"{score(row['score']):>5} [{score(row['low'])}, {score(row['high'])}] n={row['n']}"
    costs = _costs(row)
    forgotten = _forgotten(row, marks, short=width < 110)
    if width < 110:
        room = max(10, width - 2 - LABEL_WIDTH - len(scored) - 3)
        first = f"{chosen} {named:<{LABEL_WIDTH}} {scored} "
        below = (f"\n    {costs}{forgotten}", "$muted")
        return Content.assemble((first, "bold"), _bar(board, row, marks, room), below)
    room = max(16, width - LABEL_WIDTH - len(scored) - _FIGURES - 6)
    return Content.assemble(
        (f"{chosen} {named:<{LABEL_WIDTH}} ", "bold"), f"{scored:<24} ", _bar(board, row, marks, room), f" {costs}",
        (forgotten, "$muted"),
    )  # fmt: skip


def _forgotten(row: Mapping[str, Any], marks: Glyphs, short: bool) -> str:
    words = forgot_words(row, short)
    if words is None:
        return ""
    return f"\n    forgot: {printable(words.replace('→', '->') if marks.cut == '~' else words)}"


def _bar(board: Mapping[str, Any], row: Mapping[str, Any], marks: Glyphs, width: int) -> tuple[str, str]:
    rows, target = board["scoreboard"], board.get("target")
    values = [float(each[name]) for each in rows for name in ("low", "high")] + ([target] if target is not None else [])
    bar = interval_bar(row["score"], row["low"], row["high"], width, marks, scale_of(values), target)
    return bar, "$text-accent" if row.get("chosen") else ""


def _costs(row: Mapping[str, Any]) -> str:
    words = [f"not counted: {printable(str(row['leaked']))}"] if row.get("leaked") else []
    words += [
        f"{figure(row.get('tokens_in'))}+{figure(row.get('tokens_out'))} tok",
        f"{figure(row.get('latency_s'))} s",
    ]
    if row.get("cost") is not None:
        words.append(f"cost {figure(row['cost'])}")
    if row.get("truncated"):
        words.append(f"{row['truncated']} at the limit")
    if row.get("refused"):
        words.append(f"{row['refused']} refused")
    if row.get("prompts_cut"):
        words.append(f"{row['prompts_cut']} prompts cut")
    if row.get("judge"):
        words.append(f"orders agree {row['judge']['order_agreement']:.0%}")
    if row.get("seeds"):
        words.append(f"{row['seeds']} seed")
    return " · ".join(words)


def pair_line(board: Mapping[str, Any], pair: Mapping[str, Any], width: int) -> Content:
    """`RAG: k=3 − prompt: 4-shot  +.17 [+.10, +.24]  p .003  better 31, worse 14`."""
    names = {
        str(row["candidate"]): f"{RUNG_WORDS.get(row['rung'], row['rung'])}: {row['label']}"
        for row in board["scoreboard"]
    }
    room = max(10, (width - 60) // 2)
    a, b = (one_line(names.get(str(pair[side]), str(pair[side])), room) for side in ("a", "b"))
    p = "p < .001" if pair["p"] < 0.001 else f"p {score(pair['p'])}"
    found = f"{pair['difference']:+.2f} [{pair['low']:+.2f}, {pair['high']:+.2f}]"
    return Content.assemble(
        f"  {a} against {b}  ",
        (found, "bold"),
        f"  {p}",
        (f"  {pair['a_better']} better, {pair['b_better']} worse", "$muted"),
    )


def verdict_lines(board: Mapping[str, Any]) -> Content:
    """The verdict in bold, then a line for each reason, for what judgments have taught, and for a training's return.

    Of a climb before its end: that there is none yet.
    """
    verdict = board.get("verdict")
    if verdict is None:
        return Content.styled(NO_VERDICT, "bold")
    said = f"{headline_of(verdict)}."
    reasons: Sequence[str] = verdict.get("reasons") or []
    further = [*gain_lines(board.get("gains") or []), *break_even_lines(board)]
    return Content("\n").join(
        [
            Content.assemble(("Verdict: ", "bold $text-accent"), (said, "bold")),
            *(Content(f"• {one}") for one in [*reasons, *further]),
        ]
    )
