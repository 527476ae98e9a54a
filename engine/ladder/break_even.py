"""When a training has paid for itself: only for a tuned model that is shown no worse than what it replaces.

Pure functions of the scoreboard's rows and pairs as scoreboard.json holds them.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def break_even_fields(
    row: Row, rows: Sequence[Row], pairs: Sequence[Row], margin: float, more_is_better: bool
) -> dict[str, Any]:
    """What a row says of its training's return; every field is None where there is none.

    `break_even`: answers until the training's time is won back; `break_even_cost`: until its price is, both against
    the candidate `break_even_against`, the best of the lower rungs. `break_even_endpoint`: the same price against the
    best model behind an endpoint. None where the row is not shown to be at most `margin` worse than the other.
    """
    found: dict[str, Any] = dict.fromkeys(
        ("break_even", "break_even_cost", "break_even_against", "break_even_endpoint")
    )
    if row.get("run") is None or row.get("leaked"):
        return found
    lower = [other for other in rows if other["rung"] != "tune" and not other.get("leaked")]
    replaced = _best([other for other in lower if not other.get("endpoint")], more_is_better)
    if replaced is not None and no_worse(row, replaced, pairs, margin):
        found["break_even"] = won_back(row.get("training_seconds"), replaced.get("seconds"), row.get("seconds"))
        found["break_even_cost"] = won_back(row.get("training_cost"), replaced.get("cost"), row.get("cost"))
        found["break_even_against"] = replaced["candidate"]
    endpoint = _best([other for other in lower if other.get("endpoint")], more_is_better)
    if endpoint is not None and no_worse(row, endpoint, pairs, margin):
        answers = won_back(row.get("training_cost"), endpoint.get("cost"), row.get("cost"))
        found["break_even_endpoint"] = None if answers is None else {"against": endpoint["candidate"], "cost": answers}
    return found


def no_worse(row: Row, other: Row, pairs: Sequence[Row], margin: float) -> bool:
    """Whether all that is not excluded of row - other lies above -margin; a pair's difference is positive where a is
    better, whatever the metric's direction. Scoreboards of version 2 and before have the interval alone."""
    for pair in pairs:
        if (pair["a"], pair["b"]) == (row["candidate"], other["candidate"]):
            return bool(pair.get("claim_low", pair["low"]) > -margin)
        if (pair["a"], pair["b"]) == (other["candidate"], row["candidate"]):
            return bool(-pair.get("claim_high", pair["high"]) > -margin)
    return False


def won_back(spent: float | None, before: float | None, after: float | None) -> int | None:
    """Answers after which what each of them saves makes up for what was spent; None where nothing is saved or known."""
    if spent is None or before is None or after is None or before <= after:
        return None
    return math.ceil(spent / (before - after))


def break_even_lines(board: Mapping[str, Any]) -> list[str]:
    """One sentence for each tuned candidate that is shown no worse than what it replaces: time and price."""
    rows: Sequence[Row] = board.get("scoreboard") or []
    names = {row["candidate"]: f"{row['rung']} ({row['label']})" for row in rows}
    lines = []
    for row in rows:
        # Older scoreboards reckoned it whatever the quality, and did not say against what: theirs is not repeated.
        against, endpoint = row.get("break_even_against"), row.get("break_even_endpoint")
        said = {str(against): _local_words(row)} if against in names else {}
        if endpoint and endpoint["against"] in names:
            said[endpoint["against"]] = f"the training's price is won back after {endpoint['cost']:,} answers"
        for other, words in said.items():
            lines.append(
                f"{names[row['candidate']]} is shown to be {_how_good(row, other, board)} {names[other]}: {words}"
            )
    return lines


def _how_good(row: Row, other: str, board: Mapping[str, Any]) -> str:
    if no_worse(row, {"candidate": other}, board.get("pairs") or [], 0.0):
        return "better than"
    return f"at most {board.get('margin', 0):g} worse than"


def _local_words(row: Row) -> str:
    time = "its answers are no faster, so the training's time is not won back"
    if row.get("training_seconds") is None and row.get("break_even") is None:
        time = "how long it was trained is not known"
    elif row.get("break_even") is not None:
        time = f"the training's time is won back after {row['break_even']:,} answers"
    if row.get("break_even_cost") is not None:
        return f"{time}, its price after {row['break_even_cost']:,}"
    if row.get("cost") is None:
        return f"{time}; its price is not known (budget.machine_hour)"
    if row.get("training_cost") is None:
        return f"{time}; what the training cost is not known"
    return f"{time}; its answers are no cheaper, so its price is not won back"


def _best(rows: Sequence[Row], more_is_better: bool) -> Row | None:
    """The best of the candidates chosen on the validation rows, where a rung has any; equal ones: the cheaper one."""
    settled = {row["rung"] for row in rows if row.get("chosen")}
    speaking = [row for row in rows if row.get("chosen") or row["rung"] not in settled]
    sign = 1.0 if more_is_better else -1.0
    return max(speaking, key=lambda row: (sign * row["score"], -(row.get("seconds") or 0.0)), default=None)
