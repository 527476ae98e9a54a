"""What is odd about rows that can be used, kind by kind, and what is not odd."""

from typing import Any

import pytest

from rung.engine.data.encode import Encoded
from rung.engine.data.labels import Labelled
from rung.engine.data.languages import language_of
from rung.engine.data.preferences import Pair
from rung.engine.data.read import Row
from rung.engine.data.report import LoadedData, length_bins, make_report
from rung.engine.data.secrets import secrets_in
from rung.engine.data.shaped import ShapedRows
from rung.engine.data.shapes import Conversation
from rung.engine.splits.findings import KINDS, Examination, examine

ENGLISH = "What is the best way to plant a tree in the garden, and how often should it be watered after that?"
GERMAN = "Wie pflanzt man einen Baum in den Garten, und wie oft wird er nach dem Pflanzen gegossen? Das ist die Frage."
PLAIN = ["Dig a hole as wide as the roots.", "The kettle boils at noon.", "Nine boats left the harbour early.",
         "A violin has four strings.", "Bread needs flour, water and time."]  # fmt: skip


def chat(question: str, answer: str, line: int) -> Conversation:
    return Conversation(
        [{"role": "user", "content": question}, {"role": "assistant", "content": answer}], "rows.jsonl", line
    )


def examined(examples: list[Any], **options: Any) -> Examination:
    encoded = [Encoded([1, 2], [-100, 2], 2, example.source, example.line) for example in examples]
    report = make_report(ShapedRows([]), examples, encoded, [], {2})
    return examine(LoadedData(examples, encoded, report), **options)


def found(result: Examination, kind: str) -> list[tuple[int, str]]:
    return [(finding.line, finding.reason) for finding in result.findings if finding.kind == kind]


def test_good_rows_give_no_finding() -> None:
    examples = [chat(f"Tell me number {n}", text, n) for n, text in enumerate(PLAIN, start=1)]
    result = examined(examples, rows=[], held_out=[])
    assert result.findings == []
    assert result.roles == {"user": 5, "assistant": 5}
    assert (result.near_duplicates, result.held_out) == (0, 0)


def test_copies_exact_and_near_and_those_of_the_held_out_set() -> None:
    long = "the old lighthouse keeper climbs the narrow stairs every evening to light the lamp before the ships arrive"
    texts = [*PLAIN, long, long.replace("evening", "night"), PLAIN[1]]
    examples = [chat(f"Continue {text[:12]}", text, n) for n, text in enumerate(texts, start=1)]
    rows = [Row({"messages": example.messages}, example.source, example.line) for example in examples]
    result = examined(examples, rows=rows, held_out=[rows[3].fields])
    assert found(result, "duplicate") == [(8, "the same as line 2")]
    ((line, reason),) = found(result, "near duplicate")
    assert line == 7 and reason.endswith("the same as line 6")
    assert found(result, "held out") == [(4, "verbatim: held-out row 1")] and result.held_out == 1


def test_answers_of_a_word_or_none_are_told_but_no_tool_call() -> None:
    called = chat("Weather?", "", 4)
    called.messages[-1]["tool_calls"] = [{"function": {"name": "weather", "arguments": {}}}]
    examples = [chat("Sky?", "Blue.", 1), chat("Sea?", "Deep blue.", 2), chat("Sun?", "…", 3), called]
    assert found(examined(examples), "short answer") == [
        (1, "the answer is one word: blue"), (3, "the answer has no word"),
    ]  # fmt: skip


def test_another_language_and_broken_characters_are_told() -> None:
    examples = [chat(f"{ENGLISH} {n}", PLAIN[n], n + 1) for n in range(4)]
    examples += [chat(GERMAN, "Ein Loch graben und die Wurzeln nicht knicken.", 5), chat("CafÃ© opens?", "At nine.", 6)]
    result = examined(examples)
    assert found(result, "language") == [(5, "seems to be German; most rows are English")]
    assert [line for line, _ in found(result, "encoding")] == [6]
    assert result.languages == {"English": 4, "German": 1, "unknown": 1}


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (ENGLISH, "English"), (GERMAN, "German"), ("Short.", "unknown"), ("", "unknown"),
        ("1 2 3 4 5 6 7 8 9", "unknown"),
        ("Le chat est dans la maison et les enfants ne sont pas avec nous dans le jardin", "French"),
        ("Сколько стоит билет до Москвы и обратно?", "Cyrillic"), ("这是一个关于天气的问题", "Chinese"),
        ("これは天気についての質問です", "Japanese"),
        ("Translate the word 猫 (cat) into French for me and explain that", "English"),
    ],
)  # fmt: skip
def test_languages_are_guessed_from_script_and_common_words(text: str, language: str) -> None:
    assert language_of(text) == language


def test_keys_are_told_and_never_shown() -> None:
    keys = [
        "AKIAIOSFODNN7EXAMPLE", "ghp_" + "a1B2" * 9, "hf_" + "x" * 34, "sk-proj-" + "Z9" * 12,
        "-----BEGIN RSA PRIVATE KEY-----", "postgres://me:hunter22@db.example/x", "xoxb-1234567890-abc",
    ]  # fmt: skip
    for key in keys:
        (reason,) = secrets_in(f"Use {key} here")
        assert reason.startswith("looks like") and key[:4] in reason and key[5:] not in reason
    assert secrets_in("the sk-learn package, hf_hub, AKIA and https://example.org/a:b@c") == []
    result = examined([chat("My key?", f"It is {keys[0]}.", 9)])
    assert [line for line, _ in found(result, "secret")] == [9]


def test_unbalanced_labels_are_told_whatever_they_are_called() -> None:
    few = [chat(f"Review {n}", "good" if n % 10 else "bad", n) for n in range(1, 41)]
    result = examined(few)
    assert result.labels == {"good": 36, "bad": 4}
    assert found(result, "labels") == [(0, "'good' has 36 of 40 rows, 'bad' has 4")]
    even = [chat(f"Review {n}", "good" if n % 2 else "bad", n) for n in range(1, 41)]
    assert found(examined(even), "labels") == []
    marked = [Labelled(few[n].prompt, few[n].messages[-1], n != 3, "rows.jsonl", n) for n in range(12)]
    assert examined(marked).labels == {"good": 11, "bad": 1}
    rows = [Row({"kind": "a" if n else "b"}, "rows.jsonl", n) for n in range(30)]
    assert examined(few[:2], rows=rows, label="kind").labels == {"a": 29, "b": 1}


def test_what_is_cut_or_left_out_by_the_template_is_told() -> None:
    examples = [chat("a", "b c", 1), chat("d", "e f", 2)]
    encoded = [Encoded([1, 2], [-100, 2], 9, "rows.jsonl", 1), Encoded([1], [1], 1, "rows.jsonl", 2, "reasoning")]
    result = examine(LoadedData(examples, encoded, make_report(ShapedRows([]), examples, encoded, [], {2})))
    assert found(result, "truncated") == [(1, "7 of 9 tokens are cut off, the end of an answer among them")]
    assert found(result, "left out") == [(2, "the chat template doesn't write its reasoning")]


def test_pairs_of_one_prompt_are_no_near_duplicates() -> None:
    prompt = [{"role": "user", "content": ENGLISH}]
    answers = [{"role": "assistant", "content": text} for text in PLAIN[:3]]
    pairs = [Pair(prompt, answers[0], answers[n], "rows.jsonl", n) for n in (1, 2)]
    assert examined(pairs).near_duplicates == 0
    assert set(KINDS) >= {finding.kind for finding in examined([*pairs, pairs[0]]).findings}


def test_lengths_fall_into_bins_of_one_round_width() -> None:
    bins = length_bins([3, 4, 7, 55, 118])
    assert [(each.low, each.high) for each in bins][:2] == [(0, 9), (10, 19)]
    assert sum(each.rows for each in bins) == 5 and bins[-1].low <= 118 <= bins[-1].high and len(bins) == 12
    assert [(each.low, each.high, each.rows) for each in length_bins([7, 7])] == [(7, 7, 2)]
    assert length_bins([]) == []
