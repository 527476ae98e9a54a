"""Which metric fits a project's reference answers, and why: by what they are made of and how long they are."""

import json
from collections.abc import Sequence
from statistics import median
from typing import Any

from rung.engine.metrics.numbers import last_quantity, quantities

_MOST_LABELS = 20
_LABEL_WORDS = 4
_ROWS_A_LABEL = 5
_SHORT_WORDS = 8
_SENTENCE_WORDS = 40
_NEARLY_ALL = 0.9


def recommended_metric(references: Sequence[str]) -> tuple[Any, str] | None:
    """A metric as rung.yaml writes it, and the reason for it in a line; None without references."""
    texts = [text.strip() for text in references if text.strip()]
    if not texts:
        return None
    lengths = [len(text.split()) for text in texts]
    if _share(texts, _is_object) >= _NEARLY_ALL:
        return "json_fields", f"{len(texts):,} answers are JSON objects: their fields are compared one by one"
    if _share(texts, _is_number) >= _NEARLY_ALL:
        return _numeric(texts)
    kinds = sorted(set(texts))
    few = len(kinds) <= _MOST_LABELS and len(texts) >= _ROWS_A_LABEL * len(kinds)
    if few and max(len(kind.split()) for kind in kinds) <= _LABEL_WORDS:
        why = f"the answers are {len(kinds)} labels, each given many times"
        return {"name": "label_accuracy", "labels": kinds}, why
    middle, long = median(lengths), sorted(lengths)[int(0.9 * (len(lengths) - 1))]
    words = f"half of the answers have {middle:g} {'word' if middle == 1 else 'words'} or fewer"
    if long <= _SHORT_WORDS:
        return "normalized_match", f"{words}: short answers are right or wrong, but for capitals, articles, punctuation"
    if middle <= _SENTENCE_WORDS:
        why = f"{words}, one in ten {long:,} or more: such answers are hardly ever word for word the same"
        return "token_f1", f"{why}, so their words are compared"
    return "rouge_l", f"{words}: long free text is compared by its common sequence of words; a judge may say more"


def _numeric(texts: Sequence[str]) -> tuple[Any, str]:
    why = f"{len(texts):,} answers are numbers"
    convention = _convention(texts)
    if convention is None:
        return "numeric", why
    return {"name": "numeric", "decimals": convention}, f"{why}, written with a decimal {convention}"


def _convention(texts: Sequence[str]) -> str | None:
    """The decimal sign that the plain ones show where others could be read in two ways; None where it isn't needed."""
    if not any(found is not None and found.ambiguous for found in map(last_quantity, texts)):
        return None
    shown = set()
    for text in texts:
        auto = last_quantity(text)
        readings = {sign: last_quantity(text, sign) for sign in ("point", "comma")}
        agree = [sign for sign, found in readings.items() if auto is not None and found == auto]
        if auto is not None and not auto.ambiguous and len(agree) == 1:
            shown.add(agree[0])
    return shown.pop() if len(shown) == 1 else None


def _share(texts: Sequence[str], holds: Any) -> float:
    return sum(bool(holds(text)) for text in texts) / len(texts)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _is_number(text: str) -> bool:
    """Whether it is a number and little else, or ends in GSM8K's mark and one."""
    if "####" in text:
        return last_quantity(text) is not None
    return len(text.split()) <= 3 and len(quantities(text)) == 1 and sum(map(str.isalpha, text)) <= 12
