"""The list of adapters and what is known of one, as text."""

from collections.abc import Collection, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from textual.content import Content
from textual.widgets.option_list import Option

from rung.engine.results.adapters import TrainedAdapter
from rung.engine.results.exports import sum_in_words
from rung.engine.training.probe.forgot import forgot_words
from rung.tui.text.glyphs import Glyphs
from rung.tui.text.words import figure, gibibytes, one_line, printable, score

RUN_WIDTH, KIND_WIDTH = 18, 15


def options_of(adapters: Sequence[TrainedAdapter], marked: Collection[str], marks: Glyphs, width: int) -> list[Option]:
    """A line for each base, which can't be chosen, and one for each adapter below it."""
    options = []
    for (base, revision), group in groupby(adapters, lambda each: (each.base, each.revision)):
        rows = list(group)
        title = one_line(f"{base} {revision or ''}", max(20, width - 20))
        counted = f"{len(rows)} trained on it"
        options.append(
            Option(Content.assemble((title, "bold $text-accent"), (f"  {counted}", "$muted")), disabled=True)
        )
        options += [Option(_line(row, row.run in marked, marks, width), id=row.run) for row in rows]
    return options


def _line(row: TrainedAdapter, marked: bool, marks: Glyphs, width: int) -> Content:
    standing = row.standing
    scored = f"{score(standing.score)} [{score(standing.low)}, {score(standing.high)}]" if standing else "not measured"
    scored = "not counted: leaks" if standing and standing.leaked else scored
    forgets = "–" if row.forgetting is None else f"{row.forgetting:+.1%}"
    line = (
        f"{marks.yes if marked else ' '} {one_line(short_id(row.run), RUN_WIDTH):<{RUN_WIDTH}} "
        f"{one_line(row.in_words, KIND_WIDTH):<{KIND_WIDTH}}{scored:<17}{forgets:>8} {gibibytes(row.bytes):>9}"
    )
    rest = width - len(line) - 2
    label = " ".join([row.name or "", *(f"#{tag}" for tag in row.tags)]).strip()
    return Content.assemble(
        (line, "bold" if marked else ""), (f"  {one_line(label, rest)}" if rest > 8 else "", "$muted")
    )


def detail_lines(row: TrainedAdapter, adapters: Sequence[TrainedAdapter], root: Path) -> Content:
    """Where it came from, how it was chosen, how it scored, what it forgot, where it lies."""
    standing = row.standing
    if standing is None:
        scored = f"not measured; rung eval --run {row.run}"
    else:
        interval = f"{score(standing.score)} [{score(standing.low)}, {score(standing.high)}]"
        scored = f"{standing.metric} {interval} on {standing.n} held-out rows, asked {standing.label}"
        scored += f"; not counted: it {printable(standing.leaked)}" if standing.leaked else ""
    lines = [
        ("run", row.run),
        ("from", _origin(row, adapters)),
        ("chosen", row.chosen or "–"),
        ("score", scored),
        ("forgets", _forgets(row)),
        ("lies in", f"{_relative(Path(row.path), root)}, {gibibytes(row.bytes)}"),
    ]
    if row.trouble:
        lines.append(("trouble", row.trouble))
    return Content("\n").join(Content.assemble((f"{name:<9}", "$muted"), printable(text)) for name, text in lines)


def _origin(row: TrainedAdapter, adapters: Sequence[TrainedAdapter]) -> str:
    """`pocket → 1120-cpt-1a2b (+0.3%) → this: sft, QLoRA r16`, with what each step forgot."""
    if row.combined:
        return f"{row.base} + {sum_in_words([(str(part['run']), float(part['weight'])) for part in row.combined])}"
    known = {each.run: each for each in adapters}
    steps = [row.base]
    for run in reversed(row.start_from):
        cost = known[run].forgetting if run in known else None
        steps.append(short_id(run) + (f" ({cost:+.1%})" if cost is not None else ""))
    return " → ".join([*steps, f"this: {row.method}, {row.in_words}"])


def _forgets(row: TrainedAdapter) -> str:
    if row.forgot is None:
        return "not measured"
    divergence = f"; {figure(row.kl)} nats a token from where it began" if row.kl is not None else ""
    return f"{forgot_words(row.forgot)} over this run{divergence}"


def done_words(result: dict[str, Any]) -> str:
    """What was written, for a notice."""
    if "rank" in result:
        return f"{result['run']}: {result['how']}, rank {result['rank']}"
    notes = "".join(f"\n{printable(note)}" for note in result["notes"])
    return f"{result['path']}, {gibibytes(result['bytes'])}{notes}"


def short_id(run: str) -> str:
    """The id without year and time: 1123-sft-3f2a."""
    parts = run.split("-")
    return f"{parts[0][4:]}-{'-'.join(parts[2:])}" if len(parts) >= 4 and len(parts[0]) == 8 else run


def _relative(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
