"""The numeric answer: the last number a text names, however it is written.

Fractions (1/2, 1 1/2, \\frac{1}{2}), per cent, powers of ten, times and ratios (7:30), both decimal conventions.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

Decimals = Literal["auto", "point", "comma"]
_FINAL_ANSWER = "####"
_MINUS_SIGNS = str.maketrans({"\u2212": "-", "\u2013": "-", "\u00a0": " ", "\u202f": " "})
# A minus after a digit or a letter is a dash: the 3 of "5-3" is 3.
_SIGN = r"(?P<sign>(?<![\w.)\]/:])[-+])?"
# Longer runs of digits are a model stuck on one, not numbers; Python refuses to convert some thousands of them.
_MOST_DIGITS = 300
_DIGITS = r"\d+(?:[.,']\d+)*"
_NUMBER = re.compile(
    rf"{_SIGN}\s?\$?(?:"
    r"\\[dt]?frac\{\s*(?P<top>\d+)\s*\}\{\s*(?P<bottom>\d+)\s*\}"
    r"|(?<![\d:])(?P<colons>\d+(?::\d+)+)(?![\d:])"
    r"|(?<![\d/.,])(?:(?P<whole>\d+)\s+)?(?P<over>\d+)/(?P<under>\d+)(?![\d/])"
    rf"|(?P<plain>{_DIGITS}|(?<![\w.])\.\d+)"
    r"(?:[eE](?P<exponent>[-+]?\d{1,3})(?!\d)|\s?(?:[x×*·]|\\times|\\cdot)\s?10\s?\^\s?\{?(?P<power>[-+]?\d{1,3})\}?)?"
    r")(?P<percent>\s?(?:\\?%|per\s?cent\b))?"
)


@dataclass(frozen=True)
class Quantity:
    """A number as a text writes it: every value that the writing may mean, one where it is plain.

    `parts` are the numbers between colons of a time or a ratio, which is compared as such and has no value.
    """

    values: tuple[Fraction, ...] = ()
    percent: bool = False
    parts: tuple[int, ...] = ()

    @property
    def ambiguous(self) -> bool:
        """Whether it may mean two numbers: 1.234 is a thousand and more, or one and a quarter."""
        return len(self.values) > 1


def numeric(answer: str, reference: str, tolerance: float = 0.0, decimals: Decimals = "auto") -> float | None:
    """1 if the answer's number is the reference's, within the tolerance.

    None if the reference names no number, or one that can be read in two ways: that is not guessed, whatever the
    answer is (`decimals` says which way is meant). A number in per cent is both 50 and 0.5, unless both are.
    """
    expected, given = last_quantity(reference, decimals), last_quantity(answer, decimals)
    if expected is None or expected.ambiguous:
        return None
    if given is None or expected.parts != given.parts:
        return 0.0
    if expected.parts:
        return 1.0
    wide = Fraction(str(tolerance))
    return float(any(_close(given, expected, own, expected.values[0], wide) for own in given.values))


def _close(given: Quantity, expected: Quantity, own: Fraction, value: Fraction, wide: Fraction) -> bool:
    owns = {own, own / 100} if given.percent and not expected.percent else {own}
    values = {value, value / 100} if expected.percent and not given.percent else {value}
    return any(abs(one - other) <= wide for one in owns for other in values)


def last_quantity(text: str, decimals: Decimals = "auto") -> Quantity | None:
    """The number after the last `####` (as GSM8K marks its answers), else in the last \\boxed{…}, else the last one.

    After `####` a comma groups thousands, as GSM8K writes them.
    """
    plain = text.translate(_MINUS_SIGNS)
    if _FINAL_ANSWER in plain:
        found = quantities(plain.rpartition(_FINAL_ANSWER)[2], "point" if decimals == "auto" else decimals)
        return found[0] if found else None
    found = quantities(_boxed(plain) or plain, decimals)
    return found[-1] if found else None


def quantities(text: str, decimals: Decimals = "auto") -> list[Quantity]:
    """Every number of a text, in order."""
    found = [_quantity(match, decimals) for match in _NUMBER.finditer(text.translate(_MINUS_SIGNS))]
    return [one for one in found if one is not None]


def _boxed(text: str) -> str | None:
    """What stands in the last \\boxed{…}, whose braces may be nested."""
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth, begin = 0, start + len("\\boxed{")
    for place in range(begin, len(text)):
        if text[place] == "{":
            depth += 1
        elif text[place] == "}":
            depth -= 1
            if depth < 0:
                return text[begin:place]
    return text[begin:]


def _quantity(match: re.Match[str], decimals: Decimals) -> Quantity | None:
    if len(match.group()) > _MOST_DIGITS:
        return None
    sign = -1 if match["sign"] == "-" else 1
    percent = match["percent"] is not None
    if match["colons"] is not None:
        return Quantity(parts=tuple(sign * int(part) for part in match["colons"].split(":")))
    if match["top"] is not None or match["over"] is not None:
        top, bottom = match["top"] or match["over"], match["bottom"] or match["under"]
        if int(bottom) == 0:
            return None
        whole = int(match["whole"] or 0)
        return Quantity((sign * (whole + Fraction(int(top), int(bottom))),), percent)
    scale = Fraction(10) ** int(match["exponent"] or match["power"] or 0)
    return Quantity(tuple(sign * value * scale for value in _readings(match["plain"], decimals)), percent)


def _readings(digits: str, decimals: Decimals) -> tuple[Fraction, ...]:
    """What digits with points, commas and apostrophes may mean: one number, or two where both conventions fit."""
    digits = digits.replace("'", "")
    found = []
    for decimal, grouping in ((".", ","), (",", ".")) if decimals == "auto" else (_CONVENTIONS[decimals],):
        body, point, behind = digits.rpartition(decimal) if digits.count(decimal) == 1 else (digits, "", "")
        groups = (body or "0").split(grouping)
        grouped = len(groups) == 1 or (
            1 <= len(groups[0]) <= 3 and groups[0][0] != "0" and all(len(group) == 3 for group in groups[1:])
        )
        if grouped and grouping not in behind and all(group.isdigit() for group in groups):
            found.append(Fraction(f"{''.join(groups)}{'.' if point else ''}{behind or ('0' if point else '')}"))
    if not found:  # neither: 1.2.3, 12,34,5; the last run of digits is a number anyhow
        found = [Fraction(re.split(r"[.,]", digits)[-1])]
    return tuple(dict.fromkeys(found))


_CONVENTIONS = {"point": (".", ","), "comma": (",", ".")}
