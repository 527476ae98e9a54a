"""The characters that carry meaning beside colour: one set for fonts with blocks and one in plain ASCII."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Glyphs:
    """Marks for states, bars and small curves. A state is always said in words too."""

    states: dict[str, str] = field(repr=False)
    bar_full: str
    bar_empty: str
    bar_mark: str
    spark: str
    yes: str
    no: str
    cut: str
    half: str


UNICODE = Glyphs(
    states={
        "queued": "◌", "running": "●", "stopping": "◐", "stopped": "■", "finished": "✔", "failed": "✖",
        "cancelled": "⊘", "crashed": "✖", "preempted": "⇤", "reading": "…",
    },
    bar_full="▇", bar_empty="░", bar_mark="┊", spark="▁▂▃▄▅▆▇█", yes="✔", no="✖", cut="…", half="◐",
)  # fmt: skip

ASCII = Glyphs(
    states={
        "queued": ".", "running": ">", "stopping": "~", "stopped": "#", "finished": "+", "failed": "!",
        "cancelled": "x", "crashed": "!", "preempted": "<", "reading": "~",
    },
    bar_full="#", bar_empty=".", bar_mark="|", spark="_.-~=^*#", yes="+", no="-", cut="~", half="~",
)  # fmt: skip

# The theme token of each state; the word and the mark say the same without it.
STATE_COLORS = {
    "queued": "$muted",
    "running": "$text-success",
    "stopping": "$text-warning",
    "stopped": "$text-warning",
    "finished": "$text-accent",
    "failed": "$text-error",
    "cancelled": "$muted",
    "crashed": "$text-error",
    "preempted": "$text-warning",
    "reading": "$muted",
}


def glyphs(chart_mode: str) -> Glyphs:
    """The set that goes with a chart mode: `ascii` means that the font has nothing else."""
    return ASCII if chart_mode == "ascii" else UNICODE


def bar(fraction: float, width: int, marks: Glyphs, mark_at: float | None = None) -> str:
    """A bar of `width` cells, filled to `fraction` of it, with a mark at `mark_at` of it."""
    full = round(max(0.0, min(1.0, fraction)) * width)
    cells = [marks.bar_full] * full + [marks.bar_empty] * (width - full)
    if mark_at is not None and width:
        cells[min(width - 1, int(max(0.0, mark_at) * width))] = marks.bar_mark
    return "".join(cells)
