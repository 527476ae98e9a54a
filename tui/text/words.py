"""Text made safe and short for a terminal: outside text without control codes, figures with their units."""

import re
import time

# Colour and cursor sequences, and operating-system commands, as programs write them into their logs.
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[0-~]?")
# C0 and C1 controls but for newline and tab, and the marks that turn the reading direction of what follows.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """`text` without what a terminal would obey: for anything that a model, a file or a log wrote."""
    return _CONTROLS.sub("�", _ESCAPES.sub("", text.replace("\r\n", "\n"))).expandtabs(4)


def printable_log(text: str) -> str:
    """`printable`, and of a line that a progress bar overwrote only what was seen last."""
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return printable("\n".join(lines))


def one_line(text: str, width: int) -> str:
    """`text` on one line, cut to `width` characters with an ellipsis."""
    flat = " ".join(printable(text).split())
    return flat if len(flat) <= width else flat[: max(0, width - 1)] + "…"


def figure(value: float | None, digits: int = 3) -> str:
    """A number in `digits` significant digits: 0.642, 1.6e-4, 18,420; – where there is none."""
    if value is None or value != value:
        return "–"
    if abs(value) in (float("inf"),):
        return "∞" if value > 0 else "-∞"
    size = abs(value)
    if size >= 10**digits:
        return f"{value:,.0f}" if size < 1e7 else f"{value:.{digits - 1}e}".replace("e+0", "e").replace("e+", "e")
    if size and size < 1e-3:
        return f"{value:.{digits - 2}e}".replace("e-0", "e-")
    return f"{value:.{digits}g}"


def count(value: int | None) -> str:
    """A whole number with thousands separated; – where there is none."""
    return "–" if value is None else f"{value:,}"


def gibibytes(value: float | None) -> str:
    """Bytes as GiB, below one as MiB, below one of those as KiB, with the unit."""
    if value is None:
        return "–"
    mib = value / 2**20
    if mib >= 1024:
        return f"{mib / 1024:.1f} GiB"
    return f"{mib:.0f} MiB" if mib >= 1 else f"{mib * 1024:.0f} KiB"


def duration(seconds: float | None) -> str:
    """Seconds as HH:MM:SS, with days before it where there are some."""
    if seconds is None:
        return "–"
    whole = max(0, int(seconds))
    days, rest = divmod(whole, 86_400)
    clock = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{days} d {clock}" if days else clock


def clock_time(seconds: float | None) -> str:
    """A moment as local month-day hour:minute."""
    return "–" if not seconds else time.strftime("%m-%d %H:%M", time.localtime(seconds))


def score(value: float | None) -> str:
    """A score between 0 and 1 as .41, others as a figure."""
    if value is None:
        return "–"
    return f"{value:.2f}".removeprefix("0") if 0 <= value <= 1 else f"{value:.3g}"
