"""Dividing rows so that the checks find no held-out row among the others: the very search that they make decides.

Rows that say nearly the same are kept together from the start. What the search finds even so has its reason in what
is common: in a part of the rows it may be less so than in all of them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from rung.engine.data.content import Content
from rung.engine.splits.clusters import joined
from rung.engine.splits.leaks import leaks_between

_ROUNDS = 8
_COMPARED = ("train", "validation")
_HELD_OUT = ("test", "final")
Chosen = dict[str, list[int]]


def divided_without_leaks(
    contents: Sequence[Content], clusters: list[list[int]], divide: Callable[[Sequence[list[int]]], Chosen]
) -> tuple[list[list[int]], Chosen, int]:
    """The clusters, the row indices of each split, and how many rows had to be left out of all splits.

    Rows that are found on both sides are kept together, and the rows divided anew. Where that goes on for long, the
    held-out ones among them are left out.
    """
    for _ in range(_ROUNDS):
        chosen = divide(clusters)
        leaks = list(_leaks(contents, chosen))
        if not leaks:
            return clusters, chosen, 0
        clusters = joined(clusters, leaks)
    chosen, left_out = divide(clusters), 0
    while leaking := {held_out for _, held_out in _leaks(contents, chosen)}:
        left_out += len(leaking)
        for name in _HELD_OUT:
            chosen[name] = [index for index in chosen[name] if index not in leaking]
    return clusters, chosen, left_out


def _leaks(contents: Sequence[Content], chosen: Mapping[str, Sequence[int]]) -> Iterator[tuple[int, int]]:
    """(row, held-out row) of each leak between the splits, as indices; each split in the order it is written in."""
    rows = {name: sorted(indices) for name, indices in chosen.items()}
    for held_out in _HELD_OUT:
        for other in _COMPARED:
            if not rows[held_out] or not rows[other]:
                continue
            others, held = ([contents[index] for index in rows[name]] for name in (other, held_out))
            for leak in leaks_between(others, held):
                yield rows[other][leak.train_row - 1], rows[held_out][leak.test_row - 1]
