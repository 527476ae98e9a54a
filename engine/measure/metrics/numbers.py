"""The numeric answer: the last number a text names."""

import re
from decimal import Decimal

# A minus after a digit or a letter is a dash: the 3 of "5-3" is 3. Commas group thousands, a point starts decimals.
_NUMBER = re.compile(
    r"(?:(?<![\w.)\]])[-+])?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,3}(?!\d))?|(?<![\w.])\.\d+"
)
_FINAL_ANSWER = "####"
_MINUS_SIGNS = str.maketrans({"\u2212": "-", "\u2013": "-"})


def numeric(answer: str, reference: str, tolerance: float = 0.0) -> float | None:
    """1 if the answer's number is the reference's, within the tolerance; None if the reference names no number."""
    expected, given = last_number(reference), last_number(answer)
    if expected is None:
        return None
    return float(given is not None and abs(given - expected) <= Decimal(str(tolerance)))


def last_number(text: str) -> Decimal | None:
    """The number after the last `####` (as GSM8K marks its answers), else in the last \\boxed{…}, else the last one."""
    plain = text.translate(_MINUS_SIGNS)
    if _FINAL_ANSWER in plain:
        marked = _NUMBER.search(plain.rpartition(_FINAL_ANSWER)[2])
        return _value(marked.group()) if marked else None
    boxed = re.findall(r"\\boxed\{([^{}]*)\}", plain)
    found = _NUMBER.findall(boxed[-1] if boxed else plain)
    return _value(found[-1]) if found else None


def _value(number: str) -> Decimal:
    return Decimal(number.replace(",", ""))
