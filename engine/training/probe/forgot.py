"""What a run made the model forget: of what, from what to what, with its interval; as plain values and in words."""

import math
from collections.abc import Mapping
from typing import Any

GENERAL = "general"
# Below this change of the loss, what the perplexity was can't be told from how far it moved.
_SMALLEST_CHANGE = 1e-6


def forgot(result: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What a run's last event says of forgetting; None where it was not measured.

    `growth`, `low` and `high` are of the perplexity, relative to that before (0.02 = 2 %); `from` and `to` are
    perplexities. `quiz` scores the options' texts, `letters` asks for the letter: each with its interval of the change
    and `from_at_chance`, `to_at_chance`: whether it can't be told from guessing. None: older versions didn't write it.
    """
    changes = _numbers((result or {}).get("forgetting"))
    if result is None or "loss" not in changes:
        return None
    before, intervals = _numbers(result.get("forgetting_before")), result.get("forgetting_intervals") or {}
    # The probe's loss is the logarithm of its perplexity, so the ends of its change are those of the growth.
    low, high = (math.expm1(end) for end in intervals["loss"]) if "loss" in intervals else (None, None)
    start = before["perplexity"] if "perplexity" in before else _perplexity_before(changes)
    return {
        "of": f"perplexity of {_text_name(str(result.get('forgetting_of') or GENERAL))}",
        "from": start,
        "to": None if start is None else start * math.exp(changes["loss"]),
        "growth": math.expm1(changes["loss"]),
        "low": low,
        "high": high,
        "texts": _count(before.get("n")),
        "documents": _count(before.get("documents")),
        "kl": changes.get("kl"),
        "quiz": _quiz("option_accuracy", changes, before, intervals),
        "letters": _quiz("letter_accuracy", changes, before, intervals),
    }


def forgot_words(result: Mapping[str, Any] | None, short: bool = False) -> str | None:
    """`perplexity of general text 12.1 → 17.4 (+43.8 % [+39, +49]); quiz .955 → .865 [-.13, -.05]`; None: not measured.

    `result` is a run's last event, or a row of the scoreboard, or what `forgot` gave. `short` fits 44 columns:
    `general text +43.8 % [+39, +49], quiz -.09`.
    """
    known = _known(result)
    if known is None:
        return None
    growth = f"{100 * known['growth']:+.1f} %{_per_cent_interval(known['low'], known['high'])}"
    quiz = known.get("quiz")
    if short:
        blind = quiz is None or (quiz["from_at_chance"] and quiz["to_at_chance"])
        told = "" if quiz is None or blind else f", quiz {_signed(quiz['change'])}"
        return f"{known['of'].removeprefix('perplexity of ')} {growth}{told}"
    chance = ", which may be chance" if known["low"] is not None and known["low"] <= 0 <= known["high"] else ""
    if known["from"] is None:
        said = f"{known['of']} {growth}{chance}"
    else:
        said = f"{known['of']} {_figure(known['from'])} → {_figure(known['to'])} ({growth}{chance})"
    return said + (f"; quiz {quiz_words(quiz)}" if quiz else "")


def quiz_words(quiz: Mapping[str, Any]) -> str:
    """`.955 → .865 [-.13, -.05]`, and where either can't be told from guessing, that."""
    low, high = quiz["low"], quiz["high"]
    interval = f" [{_signed(low)}, {_signed(high)}]" if low is not None else ""
    where = {(True, True): "at chance", (True, False): "at chance before", (False, True): "down to chance"}
    guessed = where.get((quiz["from_at_chance"], quiz["to_at_chance"]))
    at_chance = f" ({guessed}, {_share(quiz['chance'])})" if guessed else ""
    return f"{_share(quiz['from'])} → {_share(quiz['to'])}{interval}{at_chance}"


def _known(result: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """What was forgotten, from a run's last event, a row of the scoreboard (older: the growth alone), or itself."""
    if result is None:
        return None
    if "growth" in result:
        return result
    if isinstance(result.get("forgot"), Mapping):
        return _known(result["forgot"])
    growth = result.get("forgetting")
    if isinstance(growth, (int, float)):
        alone = {"from": None, "to": None, "low": None, "high": None}
        return {"of": f"perplexity of {_text_name(GENERAL)}", "growth": growth} | alone
    return forgot(result)


def _quiz(
    name: str, changes: Mapping[str, float], before: Mapping[str, float], intervals: Mapping[str, Any]
) -> dict[str, Any] | None:
    """A quiz's shares right; None where one of both times is not known."""
    if name not in changes or name not in before or "questions" not in before:
        return None
    start, n, chance = before[name], int(before["questions"]), before.get("chance")
    end = start + changes[name]
    low, high = intervals.get(name, (None, None))
    return {
        "from": start, "to": end, "change": end - start, "low": low, "high": high, "n": n, "chance": chance,
        "from_at_chance": is_at_chance(start, n, chance), "to_at_chance": is_at_chance(end, n, chance),
    }  # fmt: skip


def is_at_chance(share: float, n: int, chance: float | None) -> bool:
    """Whether a share right of n can't be told from guessing: its 95 % interval (Wilson's) includes chance."""
    from rung.engine.stats.intervals import wilson

    low, high = wilson(share * n, n)
    return chance is not None and low <= chance <= high


def _perplexity_before(changes: Mapping[str, float]) -> float | None:
    """From how far the perplexity moved, and its logarithm with it: what the runs of older versions tell."""
    loss, moved = changes["loss"], changes.get("perplexity")
    return moved / math.expm1(loss) if moved is not None and abs(loss) > _SMALLEST_CHANGE else None


def _numbers(value: Any) -> dict[str, float]:
    items = value.items() if isinstance(value, Mapping) else ()
    return {name: float(number) for name, number in items if isinstance(number, (int, float))}


def _text_name(split: str) -> str:
    return "general text" if split == GENERAL else split


def _count(number: float | None) -> int | None:
    return None if number is None else int(number)


def _per_cent_interval(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return ""
    digits = 0 if max(abs(low), abs(high)) >= 0.1 else 1
    return f" [{100 * low:+.{digits}f}, {100 * high:+.{digits}f}]"


def _figure(perplexity: float) -> str:
    return f"{perplexity:.3g}" if perplexity < 1000 else f"{perplexity:,.0f}"


def _share(share: float) -> str:
    return f"{share:.3f}".removeprefix("0") if share < 1 else "1.000"


def _signed(change: float) -> str:
    return f"{change:+.2f}".replace("0.", ".", 1)
