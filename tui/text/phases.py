"""How far a phase is, in words: rows and tokens as numbers, bytes with their pace and the time that is left."""

from collections.abc import Mapping
from typing import Any

from rung.engine.jobs.fold import RunState
from rung.tui.text.words import count, duration, gibibytes, printable

LEAST_PACE = 1024.0
"""Bytes a second below which a time to go would say nothing but that it stands."""


def amount(done: int | None, total: int | None, unit: str | None) -> str:
    """`12/96 rows`, `1.2 GiB of 4.0 GiB`, or where the whole is not known `1.2 GiB`."""
    if unit == "bytes":
        return f"{gibibytes(done or 0)} of {gibibytes(total)}" if total is not None else gibibytes(done or 0)
    whole = f"/{count(total)}" if total is not None else ""
    return f"{count(done or 0)}{whole} {printable(unit or '')}".rstrip()


def phase_words(event: Mapping[str, Any], model: str) -> str:
    """`downloading MODEL: 1.2 GiB of 4.0 GiB`, or that it is loaded, by a phase event's fields."""
    if event["name"] == "download":
        return f"downloading {printable(model)}: {amount(event['done'], event['total'], event['unit'])}"
    return f"loading {printable(model)} …"


def index_words(event: Mapping[str, Any], model: str) -> str:
    """What a search does before it answers: an embedding model comes or is loaded, documents go into the index."""
    if event["name"] != "index":
        return phase_words(event, model)
    if not event["done"]:
        return "bringing the index up to date …"
    return f"bringing the index up to date: {amount(event['done'], event['total'], event['unit'])}"


def download_line(state: RunState) -> str:
    """`1.2 GiB of 4.0 GiB · 30 % · 85 MiB/s · left 00:00:33`, as much of it as is known."""
    if state.phase_done is None:
        return "asking the hub"
    parts = [amount(state.phase_done, state.phase_total, "bytes")]
    if state.phase_total is None:
        return f"another process brings it · {parts[0]}"
    if state.phase_total:
        parts.append(f"{state.phase_done / state.phase_total:.0%}".replace("%", " %"))
    pace = state.phase_pace()
    if pace is not None and pace >= LEAST_PACE:
        parts += [f"{gibibytes(pace)}/s", f"left {duration(state.phase_seconds_left())}"]
    return " · ".join(parts)
