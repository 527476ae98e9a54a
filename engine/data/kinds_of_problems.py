"""What is wrong with rows, gathered by kind: how often, the first few places, and what is worst first."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

MOST_EXAMPLES = 3
# What differs from row to row within one kind: what is quoted, numbers, a turn's place.
_VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|\[\d+\]|\b\d[\d,.]*\b")


def by_kind(problems: Sequence[Mapping[str, Any]], findings: Sequence[Mapping[str, Any]] = ()) -> list[dict[str, Any]]:
    """The kinds of problems and findings as `rung check --json` prints them, the worst first.

    Each has `kind`, `unused` (whether its rows can't be used), `count`, and `examples`, the first few as given. Rows
    that stand in the held-out set come first, then rows that can't be used (of each the most frequent kind first), then
    the findings in the order given, which goes by how much they harm.
    """
    lost = _gathered(problems, _kind_of_problem)
    odd = _gathered(findings, lambda finding: str(finding["kind"]))
    leaks = {kind: rows for kind, rows in odd.items() if kind == "held out"}
    most_first = dict(sorted(lost.items(), key=lambda entry: -len(entry[1])))
    others = {kind: rows for kind, rows in odd.items() if kind not in leaks}
    return [*_entries(leaks, False), *_entries(most_first, True), *_entries(others, False)]


def _kind_of_problem(problem: Mapping[str, Any]) -> str:
    parts = (_VARYING.sub("…", str(problem[name])) for name in ("field", "reason"))
    return ": ".join(part for part in parts if part)


def _gathered(rows: Sequence[Mapping[str, Any]], kind_of: Any) -> dict[str, list[Mapping[str, Any]]]:
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        kinds.setdefault(kind_of(row), []).append(row)
    return kinds


def _entries(kinds: Mapping[str, Sequence[Mapping[str, Any]]], unused: bool) -> list[dict[str, Any]]:
    return [
        {"kind": kind, "unused": unused, "count": len(rows), "examples": [dict(row) for row in rows[:MOST_EXAMPLES]]}
        for kind, rows in kinds.items()
    ]
