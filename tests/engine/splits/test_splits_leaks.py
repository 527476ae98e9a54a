"""Held-out rows copied into the training data: caught verbatim and nearly, and nothing else is."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from rung.engine.data.content import content_of_row
from rung.engine.splits.alike import near_pairs
from rung.engine.splits.leaks import find_leaks
from tests.helpers.program import ROOT

SHARED_DATA = ROOT.parent / "shared" / "data"
TRAIN = [
    {"question": "Which river flows through the old town of Sarnow?", "answer": "The Elvan flows through Sarnow."},
    {"question": "Who built the lighthouse on the northern cape?", "answer": "It was built by the fishers' guild."},
    {"question": "When does the spring market open its gates?", "answer": "On the second Monday of April."},
]


def reworded(text: str) -> str:
    words = text.split()
    words[len(words) // 2] = "somewhere"
    return " ".join(words)


def case_and_space(text: str) -> str:
    return "  " + text.upper().replace(" ", "  ").rstrip(".?") + " !\n"


def answered_otherwise(text: str) -> str:
    return "Nobody has ever written that down in any book or map I know of, so ask the people there."


def with_thanks(text: str) -> str:
    return text + " Thank you very much."


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (str, "verbatim"),
        (case_and_space, "verbatim"),
        (with_thanks, "near"),
        (reworded, "near"),
        (answered_otherwise, "same question"),
    ],
)
def test_a_copied_row_is_caught(change: Callable[[str], str], kind: str) -> None:
    row = TRAIN[0]
    question = row["question"] if kind == "same question" else change(row["question"])
    copied = {"question": question, "answer": change(row["answer"])}
    unrelated = {"question": "How many bees live in a hive?", "answer": "Some twenty thousand in summer."}
    leaks = find_leaks([*TRAIN[1:], row], [unrelated, copied])
    assert [(leak.test_row, leak.train_row, leak.kind) for leak in leaks] == [(2, 3, kind)]
    assert leaks[0].text.casefold().split()[0] == "which"


def test_the_shape_of_the_row_does_not_hide_a_copy() -> None:
    as_chat = {
        "messages": [
            {"role": "user", "content": TRAIN[1]["question"]},
            {"role": "assistant", "content": TRAIN[1]["answer"]},
        ]
    }
    assert [leak.kind for leak in find_leaks(TRAIN, [as_chat])] == ["verbatim"]


def test_the_closest_training_row_is_named() -> None:
    near = {"question": "Which river flows past the old town of Sarnow?", "answer": TRAIN[0]["answer"]}
    assert [leak.train_row for leak in find_leaks([TRAIN[0], near], [TRAIN[0]])] == [1]
    nearer = {"question": "Which river flows through the old town of Sarnow, then?", "answer": TRAIN[0]["answer"]}
    further = {"question": "Which rivers flow past the old town of Sarnow?", "answer": TRAIN[0]["answer"]}
    (leak,) = find_leaks([further, nearer, TRAIN[1]], [TRAIN[0]])
    assert (leak.train_row, leak.kind) == (2, "near") and 0.55 <= leak.similarity < 1


def test_rows_that_share_a_template_only_are_no_leak() -> None:
    metals = {"gold": "Au", "silver": "Ag", "iron": "Fe", "copper": "Cu", "tin": "Sn", "lead": "Pb"}
    rows = [
        {
            "question": f"What is the chemical symbol for {name}?",
            "answer": f"The chemical symbol for {name} is {symbol}.",
        }
        for name, symbol in metals.items()
    ]
    assert find_leaks(rows[:3], rows[3:]) == []
    assert find_leaks([], rows) == [] == find_leaks(rows, [])
    assert find_leaks([{"text": ""}], [{"text": ""}]) == []


SENTENCES = " ".join(f"Another sentence number {number} stands here." for number in range(40))


def test_a_row_within_a_longer_conversation_is_caught() -> None:
    turns = ["Good morning!", SENTENCES, TRAIN[1]["question"], TRAIN[1]["answer"], "And what else?", SENTENCES]
    roles = ("user", "assistant")
    long = {"messages": [{"role": roles[at % 2], "content": turn} for at, turn in enumerate(turns)]}
    (leak,) = find_leaks([TRAIN[0], long], [TRAIN[2], TRAIN[1]])
    assert (leak.test_row, leak.train_row, leak.kind) == (2, 2, "contained")


def test_a_question_within_running_text_is_caught_and_within_another_question_is_not() -> None:
    text = {"text": f"{SENTENCES} {TRAIN[0]['question']} Nobody knows. {SENTENCES}"}
    assert [leak.kind for leak in find_leaks([text], [TRAIN[0], TRAIN[1]])] == ["contained"]
    asked = {"question": f"{SENTENCES} {TRAIN[0]['question']} {SENTENCES}", "answer": "Nobody knows."}
    assert find_leaks([asked], [TRAIN[0]]) == []
    assert find_leaks([{"text": SENTENCES + " Who was it? " + SENTENCES}], [{"question": "Who was it?"}]) == []


def test_questions_of_one_pattern_about_several_things_are_no_leak_but_a_misspelt_copy_is() -> None:
    animals = {"yoodox": "eight", "zestox": "five", "gak": "five", "vithith": "eight", "old marsh crane": "two"}
    rows = [
        {"question": f"I want to know how many legs the {animal} has.", "answer": legs}
        for animal, legs in animals.items()
    ]
    others = [{"question": f"{a} and {b}?", "answer": f"{b} {a}"} for a in SENTENCES.split()[:9] for b in "xyz"]
    assert find_leaks([*rows[:2], *rows[4:], *others], rows[2:4]) == []
    pair = [{"question": f"Who holds the key to {town} now?", "answer": "the mayor"} for town in ("Sarnow", "Elding")]
    assert find_leaks([pair[0], *others], [pair[1]]) == [], "names of two things"
    assert find_leaks([{**pair[0], "question": pair[0]["question"].replace(" now", " today")}, *others], [pair[0]])
    misspelt = {"question": "I want to know how many legs the vithitth has.", "answer": "eight"}
    (leak,) = find_leaks([*rows[:3], misspelt, *others], rows[3:4])
    assert (leak.train_row, leak.kind) == (4, "near")


def test_a_common_question_is_no_leak() -> None:
    answers = [f"{first} {second}" for first in "abcdefgh" for second in "klmnopqr"]
    rows = [{"question": "Name a pair of letters, please.", "answer": answer} for answer in answers]
    assert find_leaks(rows[:50], rows[50:]) == []


def test_nearly_copied_real_rows_are_found_and_others_are_not() -> None:
    file = SHARED_DATA / "raschka-instruct-1100" / "instruction-data.json"
    if not file.exists():
        pytest.skip("the reference data is not here")
    rows = json.loads(file.read_text())
    # Siblings of one template ("the perimeter of a hexagon with sides of 4 cm, 5 cm") and paraphrases.
    assert len(near_pairs([content_of_row(row) for row in rows])) <= 40
    generator = random.Random(0)
    held_out = generator.sample(range(len(rows)), 200)
    test = [_one_word_changed(rows[index], generator) for index in held_out]
    found = {leak.test_row: leak.train_row for leak in find_leaks(rows, test)}
    caught = sum(found.get(place) == index + 1 for place, index in enumerate(held_out, start=1))
    assert caught >= 0.95 * len(held_out)


def _one_word_changed(row: dict[str, str], generator: random.Random) -> dict[str, str]:
    words = row["output"].split()
    words[generator.randrange(len(words))] = "otherwise"
    return {**row, "output": " ".join(words)}


SYSTEM = (
    "You are a careful assistant of the town library who answers in one friendly sentence and never guesses at all."
)


def pair_of_llama_factory(question: str, good: str, bad: str, system: str = SYSTEM) -> dict[str, Any]:
    return {
        "conversations": [{"from": "system", "value": system}, {"from": "human", "value": question}],
        "chosen": {"from": "gpt", "value": good},
        "rejected": {"from": "gpt", "value": bad},
    }


def test_pairs_are_compared_by_question_and_answers_and_not_by_their_system_prompt() -> None:
    rows = [pair_of_llama_factory(row["question"], row["answer"], "Who knows?") for row in TRAIN]
    assert find_leaks(rows[:2], rows[2:]) == []
    other = pair_of_llama_factory(TRAIN[2]["question"], TRAIN[2]["answer"], "Who knows?", system="Be brief.")
    assert [(leak.train_row, leak.kind) for leak in find_leaks([*rows[:2], other], rows[2:])] == [(3, "verbatim")]
    answered_anew = pair_of_llama_factory(TRAIN[2]["question"], "Nobody can say.", "On the moon.")
    assert [leak.kind for leak in find_leaks([*rows[:2], answered_anew], rows[2:])] == ["same question"]


def table(number: int) -> str:
    """A schema of 30 words or so, its own."""
    columns = ", ".join(f"column_{number}_{at} TEXT" for at in range(15))
    return f"Answer with one SQL query over this table. CREATE TABLE things_{number} ({columns});"


QUESTIONS = [
    ("How many things are there?", "SELECT count(*) FROM things"),
    ("Which of them is the oldest one by far?", "SELECT name FROM things ORDER BY age DESC LIMIT 1"),
    ("Give the mean height of those from Sarnow.", "SELECT avg(height) FROM things WHERE town = 'Sarnow'"),
    ("List every colour that occurs at least twice.", "SELECT colour FROM things GROUP BY colour HAVING count(*) > 1"),
    ("Name the towns without any thing.", "SELECT town FROM towns WHERE id NOT IN (SELECT town FROM things)"),
]


@pytest.mark.parametrize("tables", [2, 40])
def test_a_table_before_each_question_makes_no_two_rows_alike(tables: int) -> None:
    rows = [
        {"instruction": f"{table(number)}\n{question}", "output": answer}
        for question, answer in QUESTIONS
        for number in range(tables)
    ]
    train, test = rows[: 3 * tables], rows[3 * tables :]
    assert find_leaks(train, test) == []
    copied = {**test[0], "instruction": test[0]["instruction"].replace("column_0_7 TEXT", "column_0_7 REAL")}
    assert [leak.test_row for leak in find_leaks([*train, copied], test)] == [1], "a word of the table is changed"


def test_two_questions_on_one_passage_are_no_copies_of_each_other() -> None:
    passage = f"{SENTENCES[:300]}\n\n"
    one, other = ({"question": passage + question, "answer": answer} for question, answer in QUESTIONS[1:3])
    assert find_leaks([one], [other]) == []
