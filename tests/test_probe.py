"""What the forgetting meter asks: fixed, well-formed, and told apart from what replay teaches."""

from pathlib import Path

import pytest

from engine.errors import EngineError
from engine.probe.instructions import general_instructions, is_refusal
from engine.probe.questions import general_questions
from engine.probe.source import probe_material

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
