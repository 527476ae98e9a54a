"""What each metric says of an answer, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer

from rung.engine.core.errors import EngineError
from rung.engine.metrics import METRICS, parse_metric, parse_metrics, score_answer, score_example
from rung.engine.metrics.numbers import last_quantity
from rung.engine.metrics.overlap import rouge_l
from rung.engine.metrics.reasoning import strip_reasoning
from rung.engine.metrics.structured import json_fields
from tests.helpers.program import ROOT

SHARED_DATA = ROOT.parent / "shared" / "data"
SCHEMA = {"type": "object", "required": ["age"], "properties": {"age": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("metric", "answer", "reference", "expected"),
    [
        ("exact_match", " Paris\n is nice", "Paris is nice", 1),
        ("exact_match", "paris", "Paris", 0),
        ({"name": "exact_match", "casefold": True}, "STRASSE", "straße", 1),
        ("contains", "It is  Paris, of course", "is Paris", 1),
        ("contains", "paris", "Paris", 0),
        ({"name": "regex", "pattern": r"^\d{4}$"}, "1984", "", 1),
        ({"name": "regex", "pattern": r"^\d{4}$"}, "in 1984", "", 0),
        ({"name": "regex", "pattern": r"Answer: (?P<answer>\w+)"}, "Answer: no. Answer: yes", "yes", 1),
        ({"name": "regex", "pattern": r"Answer: (?P<answer>\w+)"}, "Answer: no", "yes", 0),
        ("token_f1", "The cat sat!", "a cat", 2 * 1 / 3),
        ("token_f1", "the the", "The", 1),
        ("token_f1", "dog", "", 0),
        ("numeric", "So it is 7, or 1,234.50 in all.", "1234.5", 1),
        ("numeric", "I think 5", "5 steps #### 6", 0),
        ({"name": "numeric", "tolerance": 0.1}, "3.14", "3.2", 1),
        ("numeric", "four", "4", 0),
        ("numeric", "4", "four", None),
        ("numeric", "7/8", "3/8", 0),
        ("numeric", "1/2", ".5", 1),
        ("numeric", "50 %", ".5", 1),
        ("numeric", "50 per cent", "50", 1),
        ("numeric", r"so \boxed{\frac{7}{8}}", r"\boxed{\frac{3}{8}}", 0),
        ("numeric", r"so \boxed{\dfrac{1}{2}}", "0.5", 1),
        ("numeric", "1:30", "7:30", 0),
        ("numeric", "at 07:30", "7:30", 1),
        ("numeric", "7", "7:30", 0),
        ("numeric", "1.234,50", "9.876,50", 0),
        ("numeric", "1.234,50", "1,234.50", 1),
        ("numeric", r"1.2 \times 10^{5}", "120000", 1),
        ("numeric", "1e-3", "0.001", 1),
        ("numeric", "1 1/2 cups", "1.5", 1),
        ("numeric", "on 1/2/2010", "2010", 1),
        ("numeric", "1/0", "1", 0),
        ("numeric", "1,234", "1234", 1),  # of the answer, either reading counts
        ("numeric", "2", "1.234", None),  # a reference that depends on the convention is not guessed
        ("numeric", "1234", "1.234", None),
        ("numeric", "9" * 5000, "9", 0),
        ("numeric", "1/" + "9" * 5000, "9", 0),
        ({"name": "numeric", "decimals": "comma"}, "1234", "1.234", 1),
        ({"name": "numeric", "decimals": "point"}, "1234", "1.234", 0),
        ("normalized_match", "The Eiffel Tower.", "eiffel tower", 1),
        ("normalized_match", "caf\u0065\u0301", "Caf\u00e9", 1),
        ("normalized_match", "two words", "words two", 0),
        ("normalized_match", "10.5", "105", 0),
        ("normalized_match", "-5", "5", 0),
        ("normalized_match", "It's", "its", 1),
        ("normalized_match", "The", "A", 0),
        ("normalized_match", "The", "the", 0),
        ("contains", "in 2010", "1", 0),
        ("contains", "1.5 of them", "1", 0),
        ("contains", "It is 1.", "1", 1),
        ("contains", "concatenate", "cat", 0),
        ("contains", "我爱你们", "爱你", 1),
        ({"name": "label_accuracy", "labels": ["positive", "negative"]}, "It is not positive.", "positive", 0),
        ({"name": "label_accuracy", "labels": ["positive", "negative"]}, "isn't really positive", "positive", 0),
        ({"name": "label_accuracy", "labels": ["positive", "negative"]}, "not negative, it is positive", "positive", 1),
        (
            {"name": "label_accuracy", "labels": ["positive", "negative"]},
            "I do not think it is positive",
            "positive",
            0,
        ),
        ({"name": "label_accuracy", "labels": ["positive", "negative"]}, "it is non-positive", "positive", 0),
        ({"name": "label_accuracy", "labels": ["spam", "not spam"]}, "this is not spam", "not spam", 1),
        ("json_valid", '{"a": [1, null]}', "", 1),
        ("json_valid", 'Sure: {"a": 1}', "", 0),
        ("json_valid", '{"a": NaN}', "", 0),
        ("json_valid", '```json\n{"a": 1}\n```', "", 0),
        ({"name": "json_valid", "code_fence": True}, '```json\n{"a": 1}\n```', "", 1),
        ({"name": "json_schema", "schema": SCHEMA}, '{"age": 3}', "", 1),
        ({"name": "json_schema", "schema": SCHEMA}, '{"age": "3"}', "", 0),
        ({"name": "json_schema", "schema": SCHEMA}, "3 years", "", 0),
        ("json_fields", '{"a": 1.0, "b": {"c": "x  y", "d": 0}}', '{"a": 1, "b": {"c": "x y", "d": true}}', 2 / 3),
        ("json_fields", "{}", "not json", None),
        ("label_accuracy", "Positive.", "positive", 1),
        ("label_accuracy", "I'd say positive", "positive", 0),
        ({"name": "label_accuracy", "labels": ["positive", "negative"]}, "I'd say positive", "positive", 1),
        ({"name": "label_accuracy", "labels": ["positive", "negative"]}, "positive or negative", "positive", 0),
        (
            {"name": "label_accuracy", "labels": ["positive", "very positive"]},
            "it is very positive",
            "very positive",
            1,
        ),
        ({"name": "macro_f1", "labels": ["positive"]}, "nonpositive", "positive", 0),
    ],
)
def test_the_score_of_an_answer(metric: Any, answer: str, reference: str, expected: float | None) -> None:
    score = score_answer(parse_metric(metric), answer, reference, {})
    assert score == (None if expected is None else pytest.approx(expected))


def test_overlap_metrics_are_the_libraries() -> None:
    answer, reference = "the cat sat on a mat today", "the cat lay on the mat"
    assert score_answer(parse_metric("bleu"), answer, reference) == pytest.approx(
        sacrebleu.sentence_bleu(answer, [reference]).score / 100
    )
    assert score_answer(parse_metric("chrf"), answer, reference) == pytest.approx(
        sacrebleu.sentence_chrf(answer, [reference]).score / 100
    )
    expected = RougeScorer(["rougeL"]).score(reference, answer)["rougeL"].fmeasure
    assert score_answer(parse_metric("rouge_l"), answer, reference) == pytest.approx(expected)


def test_rouge_sees_every_script() -> None:
    assert rouge_l("Привет, мир", "привет мир") == pytest.approx(1.0)
    assert 0 < rouge_l("我爱你们", "我爱他们") < 1


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("#### 1,000 and 3", "1000"),
        ("it costs $12.", "12"),
        ("range 10-20", "20"),
        ("minus: -3.5", "-3.5"),
        ("\u22127 degrees", "-7"),
        (".5 of it", ".5"),
        ("6.02e23", "6.02e23"),
        ("12,34", "12.34"),
        (r"so \boxed{42}, as 6 times 7", "42"),
        ("1,234,567.", "1234567"),
        ("none", None),
        ("####", None),
    ],
)
def test_the_number_of_an_answer(text: str, number: str | None) -> None:
    found = last_quantity(text)
    assert (None if found is None else [float(value) for value in found.values]) == (
        None if number is None else [float(number)]
    )


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        ("<think>2 + 2\nis 4</think>\n4", "4"),
        ("thought from the prompt</think>4", "4"),
        ("<think>never ends 4", ""),
        ("<THINK>a</THINK>b<think>c</think>d", "bd"),
        ("  plain answer  ", "  plain answer  "),
        ("I think so", "I think so"),
    ],
)
def test_reasoning_is_taken_out(answer: str, left: str) -> None:
    assert strip_reasoning(answer) == left


def test_reasoning_counts_where_the_project_says_so() -> None:
    answer = "<think>5?</think>"
    assert score_answer(parse_metric("contains"), answer, "5") == 0
    assert score_answer(parse_metric("contains", strip_reasoning=False), answer, "5") == 1
    own_tag = parse_metric({"name": "contains", "reasoning_tags": ["scratch"]})
    assert score_answer(own_tag, "<scratch>5</scratch>", "5") == 0


def test_the_best_of_several_right_references_counts() -> None:
    spec = parse_metric({"name": "token_f1", "references": "answers"})
    assert score_answer(spec, "NYC", "", {"answers": ["New York", "NYC"]}) == 1
    assert score_answer(parse_metric("exact_match"), "NYC", ["New York", "NYC"]) == 1
    with pytest.raises(EngineError, match="not a column of example q7"):
        score_example(spec, "q7", "NYC", "", {"answer": "NYC"})


def test_json_fields_of_a_choice() -> None:
    reference = json.dumps({"name": {"first": "Ada", "last": "L"}, "tags": ["x", "y"], "note": "long"})
    answer = json.dumps({"name": {"first": "ada", "last": "L"}, "tags": ["x", "z"]})
    assert json_fields(answer, reference, ["name"]) == 0.5
    assert json_fields(answer, reference, ["name"], casefold=True) == 1
    assert json_fields(answer, reference, ["name.last", "tags"]) == pytest.approx(2 / 3)
    assert json_fields(answer, reference, ["age"]) is None


def test_a_schema_comes_from_a_file_of_the_project(tmp_path: Path) -> None:
    (tmp_path / "answer.json").write_text(json.dumps(SCHEMA))
    spec = parse_metric({"name": "json_schema", "schema": "answer.json"}, tmp_path)
    assert score_answer(spec, '{"age": 3}', "") == 1
    before = spec.key
    (tmp_path / "answer.json").write_text(json.dumps({"type": "array"}))
    assert spec.key != before
    assert score_answer(spec, '{"age": 3}', "") == 0
    with pytest.raises(EngineError, match="does not exist"):
        parse_metric({"name": "json_schema", "schema": "other.json"}, tmp_path)


def test_a_schema_never_reaches_for_the_network() -> None:
    spec = parse_metric({"name": "json_schema", "schema": {"$ref": "http://127.0.0.1:9/schema.json"}})
    with pytest.raises(EngineError, match="refers to another one"):
        score_answer(spec, "{}", "")


def test_keys_tell_metrics_with_different_options_apart() -> None:
    plain, folded = parse_metric("exact_match"), parse_metric({"name": "exact_match", "casefold": True})
    assert plain.key == "exact_match" == parse_metric({"name": "exact_match", "casefold": False}).key
    assert (
        folded.key.startswith("exact_match-")
        and folded.key == parse_metric(folded.model_dump(include={"name", "casefold"})).key
    )
    assert parse_metric("exact_match", strip_reasoning=False).key not in (plain.key, folded.key)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("exactmatch", "did you mean exact_match"),
        ("zzz", "there are: exact_match, normalized_match"),
        ("regex", "needs the option pattern"),
        ({"name": "json_schema"}, "needs the option schema"),
        ({"name": "bleu", "pattern": "x"}, "bleu has no option pattern"),
        ({"name": "exact_match", "casfold": True}, "did you mean casefold"),
        ({"name": "regex", "pattern": "("}, "unterminated"),
        ({"name": "json_schema", "schema": {"type": "objekt"}}, "objekt"),
        ({"name": "function", "function": "no/such.py:score"}, "does not exist"),
        ({"name": "function", "function": "score"}, "path/to/file.py:function"),
        ({"pattern": "x"}, "name: is missing"),
        (7, "can't be written as 7"),
    ],
)
def test_a_metric_that_cannot_be_used_is_refused(written: Any, said: str) -> None:
    with pytest.raises(EngineError) as caught:
        parse_metric(written)
    assert said in str(caught.value)


def test_all_faults_of_the_metrics_are_told_at_once() -> None:
    with pytest.raises(EngineError) as caught:
        parse_metrics(["exact_match", "blue", "regex", "exact_match"], Path("."))
    assert caught.value.message == "3 faults in metrics"
    assert "did you mean bleu" in caught.value.details and "needs the option pattern" in caught.value.details
    assert "exact_match stands there twice" in caught.value.details


def test_every_metric_by_name_scores_or_says_what_it_needs() -> None:
    assert len(METRICS) == 17
    for name, kind in METRICS.items():
        if kind.required:
            continue
        spec = parse_metric(name)
        if kind.computed_elsewhere:
            with pytest.raises(EngineError, match="needs a model"):
                score_answer(spec, "3", "3")
        else:
            assert score_answer(spec, "3", "3") == pytest.approx(1)


def test_gsm8k_references_are_their_own_answers() -> None:
    folder = SHARED_DATA / "gsm8k"
    if not folder.is_dir():
        pytest.skip("the reference data is not here")
    rows = [json.loads(line) for file in folder.glob("*.jsonl") for line in file.read_text().splitlines()[:500]]
    spec = parse_metric("numeric")
    assert len(rows) >= 500
    assert all(
        score_answer(spec, f"The answer is {row['answer'].split('####')[1]}.", row["answer"]) == 1 for row in rows
    )
