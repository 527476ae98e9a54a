"""What the forgetting meter asks: fixed, well-formed, and told apart from what replay teaches."""

import json
import math
import random
from pathlib import Path

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.training.probe.instructions import general_instructions, is_refusal
from rung.engine.training.probe.items import ProbeItems
from rung.engine.training.probe.questions import general_questions
from rung.engine.training.probe.source import probe_material

GOOD_ANSWERS = [
    "GREEN", "HELLO", "a dog", "Honey", "A big hot star.", "Because the body rests.", "- apple\n- pear\n- plum",
    "1. red\n2. blue", '{"answer": 4}', '{"name": "Tom", "age": 3}', "1, 2, 3, 4, 5", "There is snow.",
    "It is wide and blue.", "It is to sit on. Done", "The cat sat on the mat.", "4",
]  # fmt: skip


def test_two_hundred_questions_each_with_one_right_answer_among_four() -> None:
    questions = general_questions()
    assert len(questions) == 200 == len({question.text for question in questions})
    for question in questions:
        assert len(set(question.options)) == 4 and 0 <= question.answer < 4
    places = [sum(question.answer == place for question in questions) for place in range(4)]
    assert min(places) > 30, "the right letter is no habit"
    assert general_questions() == questions


def test_instructions_hold_for_good_answers_and_not_for_silence() -> None:
    instructions = general_instructions()
    for instruction, answer in zip(instructions, GOOD_ANSWERS, strict=True):
        assert instruction.holds(answer), (instruction.prompt, answer)
        assert not instruction.holds(""), instruction.prompt


@pytest.mark.parametrize(
    ("answer", "refused"), [("I can't help with that.", True), ("As an AI I …", True), ("Red.", False)]
)
def test_refusals_are_known_by_their_words(answer: str, refused: bool) -> None:
    assert is_refusal(answer) is refused


def test_material_is_ours_the_models_or_the_users(tmp_path: Path) -> None:
    ours = probe_material("builtin", None, tmp_path)
    assert len(ours.passages) == 24 and len(ours.questions) == 200 and ours.instructions
    (tmp_path / "probe.json").write_text(
        '{"passages": ["p"], "questions": [{"text": "q", "options": ["a", "b"], "answer": 1}], "prompts": ["x"]}'
    )
    of_the_model = probe_material("builtin", tmp_path, tmp_path)
    assert of_the_model.passages == ["p"] and of_the_model.questions[0].answer == 1
    (tmp_path / "mine.txt").write_text("One.\n\nTwo.\n")
    assert probe_material("mine.txt", None, tmp_path).passages == ["One.", "Two."]
    with pytest.raises(EngineError, match="can't be read"):
        probe_material("none.txt", None, tmp_path)


BEFORE = ProbeItems(
    [(20.0, 10), (33.0, 10), (9.0, 5)], [(0.0, 4), (0.0, 6)], [1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 0.0, 1.0], [1.0, 0.0],
    [0.0, 0.0], 0.25,
)  # fmt: skip
AFTER = ProbeItems(
    [(26.0, 10), (38.0, 10), (12.0, 5)], [(0.4, 4), (1.2, 6)], [1.0, 0.0, 1.0, 1.0], [1.0, 0.0, 0.0, 1.0], [1.0, 1.0],
    [0.0, 1.0], 0.25,
)  # fmt: skip


def test_figures_are_ratios_over_texts_and_shares_of_questions() -> None:
    figures = BEFORE.figures()
    assert figures["loss"] == pytest.approx(62 / 25) and figures["perplexity"] == pytest.approx(math.exp(62 / 25))
    assert (figures["option_accuracy"], figures["letter_accuracy"]) == (1.0, 0.75)
    assert (figures["instructions_followed"], figures["refusals"]) == (0.5, 0.0)
    assert (figures["n"], figures["questions"], figures["instructions"], figures["chance"]) == (3, 4, 2, 0.25)
    assert AFTER.figures()["kl"] == pytest.approx(0.16)
    assert "kl" not in ProbeItems([(1.0, 1)]).figures()


def test_every_part_has_an_interval_that_holds_its_figure() -> None:
    figures, intervals = AFTER.figures(), AFTER.intervals()
    parts = {"loss", "perplexity", "kl", "option_accuracy", "letter_accuracy", "instructions_followed", "refusals"}
    assert set(intervals) == parts
    assert all(intervals[name][0] <= figures[name] <= intervals[name][1] for name in parts)
    assert all(intervals[name][0] < intervals[name][1] for name in parts)
    assert ProbeItems([(2.0, 1)]).intervals() == {}, "one text says nothing of others"


def test_changes_are_compared_text_against_text() -> None:
    """Every text is worse by about half a nat: paired, that is shown, though the texts differ by more than that."""
    changes = AFTER.change_intervals(BEFORE)
    growth = AFTER.figures()["loss"] - BEFORE.figures()["loss"]
    low, high = changes["loss"]
    assert 0 < low < growth < high
    apart = AFTER.intervals()["loss"], BEFORE.intervals()["loss"]
    assert apart[0][0] < apart[1][1], "unpaired, nothing would be shown"
    assert changes["option_accuracy"][0] < -0.25 < changes["option_accuracy"][1]
    assert changes["letter_accuracy"][0] < -0.25 < changes["letter_accuracy"][1]
    assert changes["perplexity"][0] < AFTER.figures()["perplexity"] - BEFORE.figures()["perplexity"]
    assert BEFORE.change_intervals(BEFORE)["loss"] == pytest.approx((0.0, 0.0))
    assert ProbeItems.from_json(json.loads(json.dumps(AFTER.to_json()))) == AFTER


def test_intervals_over_texts_cover() -> None:
    """Of 400 draws of 24 texts from one distribution, about 95 % have an interval that holds the true ratio."""
    chance = random.Random(1)
    held = 0
    for _ in range(400):
        tokens = [chance.randint(20, 120) for _ in range(24)]
        items = [(count * chance.gauss(3.0, 0.6), count) for count in tokens]
        low, high = ProbeItems(items).intervals()["loss"]
        held += low <= 3.0 <= high
    assert 0.91 <= held / 400 <= 0.99


def test_parts_of_one_document_count_as_one(tmp_path: Path) -> None:
    """Ten parts of each document that all say the same know no more than the documents do."""
    lines = [{"text": f"Part {part} of {name}.", "title": name} for name in "abc" for part in range(10)]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    material = probe_material("mine.jsonl", None, tmp_path)
    assert material.documents == [line["title"] for line in lines]
    per_document = [(20.0, 10), (33.0, 10), (9.0, 5)]
    alone = ProbeItems(per_document)
    parts = ProbeItems([item for item in per_document for _ in range(10)], documents=material.documents)
    assert parts.figures()["documents"] == 3 and parts.figures()["n"] == 30
    assert parts.intervals()["loss"] == pytest.approx(alone.intervals()["loss"])
    worse = [(26.0, 10), (38.0, 10), (12.0, 5)]
    parts_worse = ProbeItems([item for item in worse for _ in range(10)], documents=material.documents)
    assert parts_worse.change_intervals(parts)["loss"] == pytest.approx(
        ProbeItems(worse).change_intervals(alone)["loss"]
    )
    for line in lines:
        line["title"] = "one source"
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert probe_material("mine.jsonl", None, tmp_path).documents == [], "one name for all tells nothing apart"


def test_intervals_over_parts_of_documents_cover() -> None:
    """Of 400 draws of 16 documents of 6 parts that vary together, about 95 % hold the true ratio; alone, far fewer."""
    chance = random.Random(2)
    held = {True: 0, False: 0}
    for _ in range(400):
        items, names = [], []
        for document in range(16):
            own = chance.gauss(3.0, 0.6)
            for _ in range(6):
                tokens = chance.randint(20, 120)
                items.append((tokens * (own + chance.gauss(0.0, 0.4)), tokens))
                names.append(str(document))
        for grouped in held:
            low, high = ProbeItems(items, documents=names if grouped else []).intervals()["loss"]
            held[grouped] += low <= 3.0 <= high
    assert held[True] / 400 >= 0.92 and held[False] / 400 < 0.75, held


def test_items_of_an_older_version_are_the_letters() -> None:
    """It wrote `accuracy` for the letter asked for, and scored no texts: the two are never subtracted."""
    older = {name: value for name, value in BEFORE.to_json().items() if name in ("passages", "answers", "refusals")}
    items = ProbeItems.from_json(older | {"accuracy": [1.0, 1.0, 0.0, 1.0], "instructions_followed": [1.0, 0.0]})
    assert items.letter_accuracy == BEFORE.letter_accuracy and items.option_accuracy == []
    changes = AFTER.change_intervals(items)
    assert "letter_accuracy" in changes and "option_accuracy" not in changes and "accuracy" not in changes
