"""Pairs, labels and prompts out of the shapes that people have, and what is said of rows that can't be used."""

import json
from pathlib import Path
from typing import Any

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.data.labels import load_labels
from rung.engine.data.pairs import encode_pair, load_pairs
from rung.engine.data.preferences import Pair, pairs_from
from rung.engine.data.prompts import load_prompts
from rung.engine.data.read import Row
from rung.engine.data.report import group_of, load_data
from rung.engine.data.shaped import read_shaped
from tests.helpers.tiny import make_byte_tokenizer

USER = {"role": "user", "content": "What colour is grass?"}
GREEN, BLUE = {"role": "assistant", "content": "Green."}, {"role": "assistant", "content": "Blue."}


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def only_pair(fields: dict[str, Any]) -> Pair:
    pairs, problems = pairs_from([Row(fields, "rows.jsonl", 1)])
    assert not problems, problems[0].reason
    return pairs[0]


def only_problem(fields: dict[str, Any]) -> tuple[str, str]:
    pairs, problems = pairs_from([Row(fields, "rows.jsonl", 7)])
    assert not pairs
    assert problems[0].line == 7
    return problems[0].field, problems[0].reason


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": "What colour is grass?", "chosen": "Green.", "rejected": "Blue."},
        {"question": "What colour is grass?", "chosen": "Green.", "rejected": "Blue."},
        {"instruction": "What colour is grass?", "input": "", "output": "", "chosen": "Green.", "rejected": "Blue."},
        {"prompt": [USER], "chosen": [GREEN], "rejected": [BLUE]},
        {"prompt": [USER], "chosen": GREEN, "rejected": BLUE},
        {"prompt": "What colour is grass?", "chosen": [USER, GREEN], "rejected": [USER, BLUE]},
        {"chosen": [USER, GREEN], "rejected": [USER, BLUE]},
        {"chosen": "What colour is grass? Green.", "rejected": "What colour is grass? Blue."},
        {
            "chosen": "\n\nHuman: What colour is grass?\n\nAssistant: Green.",
            "rejected": "\n\nHuman: What colour is grass?\n\nAssistant: Blue.",
        },
    ],
)  # fmt: skip
def test_every_form_of_a_pair_becomes_the_same(fields: dict[str, Any]) -> None:
    pair = only_pair(fields)
    assert pair.prompt == [USER]
    assert (pair.chosen, pair.rejected) == (GREEN, BLUE)


def test_a_transcript_keeps_its_turns() -> None:
    start = "\n\nHuman: Hi\n\nAssistant: Hello! How can I help?\n\nHuman: Sing: la\n\nAssistant:"
    pair = only_pair({"chosen": start + " La la.", "rejected": start + " No.\n\nNever."})
    assert [turn["role"] for turn in pair.prompt] == ["user", "assistant", "user"]
    assert pair.prompt[-1]["content"] == "Sing: la"
    assert pair.rejected["content"] == "No.\n\nNever."


def test_system_and_tools_of_a_pair_are_kept() -> None:
    pair = only_pair({"system": "Be short.", "question": "2+2?", "chosen": "4", "rejected": "5", "tools": [{"n": 1}]})
    assert pair.prompt[0] == {"role": "system", "content": "Be short."}
    assert pair.tools == [{"n": 1}]


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"prompt": "a", "chosen": "same", "rejected": "same"}, "rejected", "both answers are the same"),
        ({"prompt": [USER], "chosen": [GREEN], "rejected": [GREEN]}, "rejected", "both answers are the same"),
        ({"chosen": "Green.", "rejected": "Blue."}, "prompt", "is missing"),
        ({"chosen": [GREEN], "rejected": [BLUE]}, "prompt", "is missing"),
        ({"prompt": "a", "chosen": "b"}, "rejected", "is missing"),
        ({"prompt": "a", "chosen": "b", "rejected": "  "}, "rejected", "is empty"),
        ({"prompt": "a", "chosen": "b", "rejected": 3.5j}, "rejected", "is complex"),
        ({"chosen": [USER, GREEN, USER, GREEN], "rejected": [USER, BLUE, USER, BLUE]}, "chosen", "part before"),
        ({"prompt": [USER, GREEN], "chosen": "b", "rejected": "c"}, "prompt", "ends in assistant's turn"),
        (
            {"prompt": [{"role": "fox", "content": "x"}], "chosen": "b", "rejected": "c"},
            "prompt[0].role",
            "'fox' is not",
        ),
        ({"chosen": [USER, GREEN], "rejected": "What colour is grass? Blue."}, "rejected", "one answer is text"),
    ],
)
def test_a_pair_that_can_not_be_used_is_named(fields: dict[str, Any], field: str, words: str) -> None:
    found = only_problem(fields)
    assert found[0] == field
    assert words in found[1]


def test_pairs_are_encoded_as_the_template_writes_them() -> None:
    tokenizer = make_byte_tokenizer()
    item = encode_pair(only_pair({"prompt": "Hi", "chosen": "Yes", "rejected": "No"}), tokenizer)
    assert tokenizer.decode(item.prompt_ids) == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.decode(item.chosen_ids) == "Yes<|im_end|>"
    assert tokenizer.decode(item.rejected_ids) == "No<|im_end|>"
    assert item.full_length == len(item.prompt_ids) + len(item.chosen_ids)


def test_long_pairs_are_left_out_and_said(tmp_path: Path) -> None:
    rows = [{"prompt": f"q{n}", "chosen": "yes" * (1 + 40 * (n == 2)), "rejected": "no"} for n in range(6)]
    rows.append({"prompt": "q", "chosen": "x", "rejected": "x"})
    data = load_pairs(write_rows(tmp_path / "pairs.jsonl", rows), make_byte_tokenizer(), max_length=60)
    report = data.report
    assert (report.shape, report.rows, report.used) == ("preference", 7, 5)
    assert [(problem.line, problem.field) for problem in report.problems] == [(3, "length"), (7, "rejected")]
    assert "max_length is 60" in report.problems[0].reason
    assert report.notes == [
        "6 pairs from 6 prompts in 6 conversations, which are not torn apart for validation",
        "the chosen answer is the longer one in 100 % of the pairs",
        "pairs longer than max_length, left out: 1 (line 3)",
    ]
    assert report.trained_tokens == 5 * (4 + 3)
    assert report.stop_token_trained == 5


def test_a_method_says_which_shape_it_needs_and_which_it_has(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "chats.jsonl", [{"messages": [USER, GREEN]}] * 2)
    with pytest.raises(EngineError, match="wrong shape") as caught:
        load_pairs(path, make_byte_tokenizer())
    assert "holds messages" in caught.value.details
    assert "needs preference: prompt, chosen, rejected" in caught.value.details
    assert "method: sft" in caught.value.hint

    path = write_rows(tmp_path / "pairs.jsonl", [{"prompt": "a", "chosen": "b", "rejected": "c"}])
    with pytest.raises(EngineError, match="wrong shape") as caught:
        load_data(path, make_byte_tokenizer())
    assert "holds preference" in caught.value.details
    assert "dpo, orpo, reward" in caught.value.hint


def test_labels_and_pairs_as_labels(tmp_path: Path) -> None:
    rows = [
        {"prompt": "a", "completion": "good", "label": True},
        {"prompt": "a", "completion": "bad", "label": "false"},
        {"prompt": "a", "completion": "?", "label": "perhaps"},
        {"prompt": "a", "completion": "", "label": 1},
    ]
    data = load_labels(write_rows(tmp_path / "labels.jsonl", rows), make_byte_tokenizer())
    assert [example.label for example in data.examples] == [True, False]
    assert {(problem.line, problem.field) for problem in data.report.problems} == {(3, "label"), (4, "completion")}
    assert data.report.notes == ["1 good answers, 1 bad ones"]

    pairs = [{"prompt": "a", "chosen": "good", "rejected": "bad"}]
    data = load_labels(write_rows(tmp_path / "pairs.jsonl", pairs), make_byte_tokenizer())
    assert [(example.answer["content"], example.label) for example in data.examples] == [("good", True), ("bad", False)]


def test_prompts_carry_their_reference_and_columns(tmp_path: Path) -> None:
    rows = [
        {"prompt": "2+2?", "answer": 4, "level": "easy"},
        {"prompt": [USER], "reference": "Green."},
        {"prompt": [USER, GREEN]},
        {"prompt": "x" * 200},
    ]
    path = write_rows(tmp_path / "prompts.jsonl", rows)
    data = load_prompts(path, make_byte_tokenizer(), max_prompt_length=80)
    first, second = data.examples
    assert (first.reference, first.fields["level"]) == ("4", "easy")
    assert (second.prompt, second.reference) == ([USER], "Green.")
    assert {(problem.line, problem.field) for problem in data.report.problems} == {(3, "prompt"), (4, "length")}

    path = write_rows(tmp_path / "answered.jsonl", [{"question": "1+1?", "answer": "So #### 2"}])
    assert load_prompts(path, make_byte_tokenizer()).examples[0].reference == "So #### 2"


def test_rows_that_begin_alike_belong_together() -> None:
    more = [USER, GREEN, {"role": "user", "content": "And the sky?"}]
    one = only_pair({"prompt": [USER], "chosen": [GREEN], "rejected": [BLUE]})
    other = only_pair({"prompt": more, "chosen": "Blue.", "rejected": "Green."})
    assert group_of(one) == group_of(other)
    assert group_of(one) != group_of(only_pair({"prompt": "else", "chosen": "a", "rejected": "b"}))


def test_the_real_pairs_are_used_or_reported(reference_data: Path) -> None:
    tokenizer = make_byte_tokenizer()
    data = load_pairs(reference_data / "oasst-100trees" / "pref_pairs.jsonl", tokenizer, max_length=1 << 20)
    assert (data.report.rows, data.report.used) == (754, 754)
    assert len({group_of(pair) for pair in data.examples}) == 100
    shaped = read_shaped(reference_data / "raschka-instruct-1100" / "instruction-data-with-preference.json")
    pairs, problems = pairs_from(shaped.rows)
    assert len(pairs) + len(problems) == 1100
    assert {problem.reason for problem in problems} <= {"both answers are the same: nothing can be learned from them"}
