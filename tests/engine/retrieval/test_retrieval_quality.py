"""Retrieval quality by each definition of a hit, against ranks worked out by hand."""

from typing import Any

import pytest

from rung.engine.retrieval.chunks import Chunk
from rung.engine.retrieval.index import Hit
from rung.engine.retrieval.quality import GoldQuestion, is_right, measure_retrieval

TEXTS = {
    "c1": "The pump was built in Łódź in 1961, by hand.",
    "c2": "Its warranty lasts for thirty months from the day of delivery to the customer.",
    "c3": "An unrelated passage about otters.",
}


class Ranked:
    """Gives the chunks in the order that the question spells: `2 1` finds c2, then c1. Other words find all of them."""

    def search(self, query: str, k: int) -> list[Hit]:
        words = query.split()
        numbers = words if all(len(word) == 1 for word in words) else ["1", "2", "3"]
        ids = [f"c{number}" for number in numbers][:k]
        return [Hit(make(chunk_id), 1.0 / rank, rank) for rank, chunk_id in enumerate(ids, start=1)]


def make(chunk_id: str, text: str = "", source: str = "") -> Chunk:
    text = text or TEXTS.get(chunk_id, "filler")
    return Chunk(chunk_id, source or f"{chunk_id}.txt", 0, len(text), text)


def test_figures_over_ranks_one_two_six_and_none() -> None:
    questions = [
        GoldQuestion("a", "1 2 3", chunks=("c1",)),
        GoldQuestion("b", "2 1 3", chunks=("c1",)),
        GoldQuestion("c", "2 3 4 5 6 1", chunks=("c1",)),
        GoldQuestion("d", "2 3", chunks=("c1",)),
        GoldQuestion("e", "1", answers=("...",)),
    ]
    quality = measure_retrieval(Ranked(), questions)
    assert (quality.n, quality.unknown, quality.depth) == (4, 1, 10)
    assert quality.hits_at == {1: 1, 3: 2, 5: 2, 10: 3}
    assert (quality.hit_at_1, quality.hit_at_5) == (0.25, 0.5)
    assert quality.mrr == pytest.approx((1 + 1 / 2 + 1 / 6) / 4)
    assert [record.rank for record in quality.records] == [1, 2, 6, None]
    assert quality.records[1].chunk_ids == ("c2", "c1", "c3")


def test_the_definitions_are_counted_and_said() -> None:
    questions = [
        GoldQuestion("a", "1", chunks=("c1",), answers=("1961",)),
        GoldQuestion("b", "1", sources=("c1.txt",)),
        GoldQuestion("c", "1", answers=("1961",)),
    ]
    quality = measure_retrieval(Ranked(), questions)
    assert quality.definitions == {"chunk": 1, "source": 1, "answer": 1}
    assert "hit@1 1.000" in quality.describe()
    assert "contains an accepted answer" in quality.describe()
    assert "not measured" in measure_retrieval(Ranked(), []).describe()


class Words:
    """Finds the texts that share a word with the query."""

    def __init__(self, *texts: str) -> None:
        self._texts = texts

    def search(self, query: str, k: int) -> list[Hit]:
        chunks = [Chunk(str(n), "a.md", 0, len(text), text) for n, text in enumerate(self._texts)]
        found = [chunk for chunk in chunks if set(query.lower().split()) & set(chunk.text.lower().split())]
        return [Hit(chunk, 1.0, rank) for rank, chunk in enumerate(found[:k], start=1)]


@pytest.mark.parametrize(
    ("gold", "tells"),
    [
        ({"answers": ("teal",)}, True),
        ({"answers": ("The wug that lives in the barn is of a fine teal colour, as everybody knows.",)}, False),
        ({"answers": ("a",)}, False),
        ({"answers": ("red",)}, False),  # stands in four texts
        ({"answers": ('{"colour": 1}',)}, False),
        ({"passages": ("the wug is teal and small",)}, True),
        ({"passages": ("the blicket is made of felt",)}, False),
        ({"sources": ("b.md",)}, True),
        ({}, False),
    ],
)
def test_a_hit_is_told_only_where_the_right_passage_stands_in_the_documents(gold: dict[str, Any], tells: bool) -> None:
    index = Words("the wug is teal and small", *(f"the thing {n} is red" for n in range(4)))
    quality = measure_retrieval(index, [GoldQuestion("q", "which colour", **gold)])
    assert (quality.n, quality.unknown) == ((1, 0) if tells else (0, 1))
    assert ("rung new --gold" in quality.describe()) is not tells
    assert quality.to_json()["mrr"] == (0.0 if tells else None), "nothing is claimed of what can't be told"


def test_the_time_of_a_search_and_the_hit_rates_are_in_the_figures() -> None:
    quality = measure_retrieval(Ranked(), [GoldQuestion("a", "2 3 1", chunks=("c1",))])
    found = quality.to_json()
    assert found["hit_at"] == {"1": 0.0, "3": 1.0, "5": 1.0, "10": 1.0} and found["mrr"] == pytest.approx(1 / 3)
    assert quality.seconds is not None and found["seconds_per_question"] == quality.seconds


@pytest.mark.parametrize(
    ("answer", "right"),
    [("1961", True), ("Łódź", True), ("BY HAND!", True), ("the pump", True), ("196", False), ("hand pump", False)],
)
def test_answers_match_whole_normalised_words(answer: str, right: bool) -> None:
    assert is_right(GoldQuestion("a", "q", answers=("nowhere", answer)), make("c1")) is right


def test_answers_in_writing_without_spaces() -> None:
    chunk = make("c9", "水泵的保修期为三十个月。")
    assert is_right(GoldQuestion("a", "q", answers=("三十个月",)), chunk)
    assert not is_right(GoldQuestion("a", "q", answers=("四十个月",)), chunk)


@pytest.mark.parametrize(
    ("gold", "right"), [("faq.csv", True), ("faq.csv#12", True), ("faq.csv#1", False), ("faq", False)]
)
def test_a_source_is_a_file_or_a_row(gold: str, right: bool) -> None:
    assert is_right(GoldQuestion("a", "q", sources=(gold,)), make("c1", source="faq.csv#12")) is right


@pytest.mark.parametrize(
    ("gold", "right"),
    [
        (TEXTS["c2"], True),
        ("Intro. " * 30 + TEXTS["c2"] + " More." * 30, True),
        ("warranty lasts for thirty months from the day", True),
        ("The day of delivery to the customer is the thirty first of the warranty months.", False),
        (TEXTS["c3"], False),
        ("", False),
    ],
)
def test_a_passage_shares_runs_of_words(gold: str, right: bool) -> None:
    assert is_right(GoldQuestion("a", "q", passages=(gold,)), make("c2")) is right


def test_a_question_without_gold_is_never_right() -> None:
    assert not is_right(GoldQuestion("a", "q"), make("c1"))
