"""The lines above and below the answers: proof of the base, decoding, who is preferred."""

from collections.abc import Sequence
from typing import Any

from textual.content import Content

from rung.engine.generation.client import Decoding
from rung.engine.results.preferences import Tally
from rung.tui.compare.bench import Round
from rung.tui.text.glyphs import Glyphs
from rung.tui.text.words import figure, printable, score


def base_line(ready: dict[str, Any] | None, state: str, marks: Glyphs) -> Content:
    """`base 7c1e03aa = plain base ✔ bit by bit`, what differs, or what is going on before that is known."""
    if ready is None:
        return Content(state)
    shown = str(ready["fingerprints"]["base"])[:8]
    difference, tolerance = ready["max_logit_difference"], ready["tolerance"]
    if not ready["base_matches_plain"]:
        wanted = str(ready["plain_fingerprint"])[:8]
        fault = f"base {shown} is NOT the plain base {wanted} {marks.no} logits differ by {figure(difference)}"
        return Content.styled(fault, "bold $text-error")
    exact = "bit by bit" if difference == 0 else f"within {figure(tolerance)} of a logit ({figure(difference)})"
    proof = f"fingerprint {shown} = plain base {marks.yes} {exact}"
    return Content.assemble("base ", (proof, "$text-success"), (f"   {state}" if state else "", "$muted"))


def decoding_line(decoding: Decoding, blind: bool) -> Content:
    """`greedy · 128 tokens · seed 0   blind off`."""
    how = "greedy" if decoding.temperature <= 0 else f"temperature {decoding.temperature:g} · top p {decoding.top_p:g}"
    text = f"{how} · {decoding.max_new_tokens} tokens · seed {decoding.seed}"
    return Content.assemble(
        (text, "$muted"), "   ", ("blind on" if blind else "blind off", "bold" if blind else "$muted")
    )


def wanted_line(round_: Round | None) -> Content:
    """The wanted answer, where the prompt row has one and everybody has answered."""
    if round_ is None or not round_.complete or not round_.prompt.reference:
        return Content("")
    return Content.assemble(("wanted  ", "$muted"), printable(round_.prompt.reference))


def tally_lines(tallies: Sequence[Tally], names: Sequence[str]) -> Content:
    """`preferred so far: sft-3f2a 14 · base 3 · same 5   win rate .82 [.59, .94]`, a line a candidate."""
    return Content("\n").join(_tally_line(tally, name) for tally, name in zip(tallies, names, strict=False))


def _tally_line(tally: Tally, name: str) -> Content:
    counts = f"{name} {tally.b_wins} · base {tally.a_wins} · same {tally.same}"
    line = Content.assemble(("preferred so far: ", "$muted"), counts)
    if tally.win_rate is None or tally.interval is None:
        return line
    low, high = tally.interval
    rate = f"{score(tally.win_rate)} [{score(low)}, {score(high)}]"
    return Content.assemble(line, ("   win rate ", "$muted"), (rate, "bold"))
