"""A candidate's identity: all that decides its answers, nothing of where it lies."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.ladder.candidate import Candidate, candidate_path, identify, read_candidate
from rung.engine.ladder.entries import find_entry, read_entries, write_entry
from rung.engine.ladder.examples import EvaluationExample, read_examples
from rung.engine.ladder.few_shot import FewShotPool, NearestExamples, make_pool
from rung.engine.ladder.spec import CandidateSpec
from rung.engine.models.weights_hash import adapter_identity, weights_hash
from rung.engine.project.schema import EndpointModel, FewShotSettings, ProjectData
from rung.engine.recipe.schema import ModelSettings
from rung.engine.retrieval.settings import RetrievalSettings
from tests.helpers.tiny import make_tiny_model


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "a")


def spec(model: Path, **changes: Any) -> CandidateSpec:
    return CandidateSpec.model_validate({"model": {"name": str(model)}, **changes})


def identity(spec: CandidateSpec, root: Path, **changes: Any) -> Candidate:
    options: dict[str, Any] = {"dtype": "float32", "few_shot": {"k": 0}, "retriever": None} | changes
    return identify(spec, root, **options)


def example(name: str, question: str, answer: str = "x", **fields: Any) -> EvaluationExample:
    return EvaluationExample(name, ({"role": "user", "content": question},), answer, fields, 1)


def test_the_id_is_the_hash_of_the_canonical_file(tmp_path: Path, model: Path) -> None:
    candidate = identity(spec(model), tmp_path)
    candidate.write(tmp_path)
    content = candidate_path(tmp_path, candidate.id).read_bytes()
    assert hashlib.sha256(content).hexdigest()[:12] == candidate.id
    assert content.decode() == json.dumps(
        json.loads(content), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    assert read_candidate(tmp_path, candidate.id) == candidate


def test_a_changed_file_is_told(tmp_path: Path, model: Path) -> None:
    candidate = identity(spec(model), tmp_path)
    candidate.write(tmp_path)
    path = candidate_path(tmp_path, candidate.id)
    path.write_text(path.read_text().replace("float32", "float64"))
    with pytest.raises(EngineError, match="was changed"):
        read_candidate(tmp_path, candidate.id)


def test_a_copy_elsewhere_is_the_same_candidate(tmp_path: Path, model: Path) -> None:
    copy = shutil.copytree(model, tmp_path / "elsewhere")
    assert identity(spec(model), tmp_path).id == identity(spec(copy), tmp_path).id
    assert str(model) not in json.dumps(identity(spec(model), tmp_path).identity)


@pytest.mark.parametrize(
    ("changes", "context"),
    [
        ({"system_prompt": "Be brief."}, {}),
        ({"prompt_template": "Q: {question}"}, {}),
        ({"decoding": {"max_new_tokens": 3}}, {}),
        ({"decoding": {"stop": ["\n"]}}, {}),
        ({}, {"dtype": "bfloat16"}),
        ({}, {"few_shot": {"k": 2, "examples": ["a", "b"]}}),
        ({}, {"retriever": {"index": "1", "kind": "bm25", "k": 3}}),
    ],
)
def test_whatever_decides_an_answer_changes_the_id(
    tmp_path: Path, model: Path, changes: dict[str, Any], context: dict[str, Any]
) -> None:
    assert identity(spec(model, **changes), tmp_path, **context).id != identity(spec(model), tmp_path).id


@pytest.mark.parametrize(
    "named", [{"quantization": "nf4"}, {"chat_template": "plain"}, {"template_args": {"enable_thinking": False}}]
)
def test_how_the_model_is_used_changes_the_id(tmp_path: Path, model: Path, named: dict[str, Any]) -> None:
    other = CandidateSpec(model=ModelSettings.model_validate({"name": str(model), **named}))
    assert identity(other, tmp_path).id != identity(spec(model), tmp_path).id


def test_other_weights_or_another_tokenizer_are_another_candidate(tmp_path: Path, model: Path) -> None:
    other = make_tiny_model(tmp_path / "other", seed=1)
    assert weights_hash(other) != weights_hash(model)
    copy = shutil.copytree(model, tmp_path / "copy")
    config = json.loads((copy / "tokenizer_config.json").read_text())
    (copy / "tokenizer_config.json").write_text(json.dumps({**config, "eos_token": "<bos>"}))
    assert identity(spec(copy), tmp_path).id != identity(spec(model), tmp_path).id


def test_weights_are_read_again_when_the_file_changed(tmp_path: Path, model: Path) -> None:
    copy = shutil.copytree(model, tmp_path / "copy")
    before = weights_hash(copy)
    weights = next(copy.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    assert weights_hash(copy) != before


def test_an_adapter_is_its_tensors_and_its_settings_but_no_paths(tmp_path: Path) -> None:
    folders = []
    for number, base in enumerate(["/here/model", "/there/model"]):
        folder = tmp_path / str(number)
        folder.mkdir()
        modules = ["q_proj", "v_proj"] if number else ["v_proj", "q_proj"]
        settings = {"peft_type": "LORA", "r": 4, "base_model_name_or_path": base, "target_modules": modules}
        (folder / "adapter_config.json").write_text(json.dumps(settings))
        (folder / "adapter_model.safetensors").write_bytes(b"same tensors")
        folders.append(folder)
    assert adapter_identity(folders[0]) == adapter_identity(folders[1])
    (folders[1] / "adapter_model.safetensors").write_bytes(b"other tensors")
    assert adapter_identity(folders[0]) != adapter_identity(folders[1])


def test_an_endpoint_is_its_address_and_model_never_its_key(tmp_path: Path, model: Path) -> None:
    endpoint = EndpointModel(name="big", url="http://localhost:1/v1", model="m", key_variable="SECRET")
    written = json.dumps(identity(spec(model), tmp_path, endpoint=endpoint).identity)
    assert "http://localhost:1/v1" in written and "SECRET" not in written and str(model) not in written


def test_rungs_and_labels() -> None:
    model = ModelSettings(name="pocket")
    retrieval = RetrievalSettings(path="docs", k=3, chunk_size=400)
    assert CandidateSpec(model=model).rung == "prompt"
    assert CandidateSpec(model=model).label == "zero-shot"
    assert CandidateSpec(model=model, few_shot=FewShotSettings(k=4, selection="nearest")).label == "4-shot nearest"
    assert CandidateSpec(model=model, retrieval=retrieval).rung == "rag"
    assert CandidateSpec(model=model, retrieval=retrieval, adapter="runs/x/adapter").rung == "tune"
    assert "k=3 · 400" in CandidateSpec(model=model, retrieval=retrieval).label


def test_one_entry_a_rung_is_chosen(tmp_path: Path) -> None:
    plain = CandidateSpec(model=ModelSettings(name="pocket"))
    write_entry(tmp_path, "aaa111", plain, "zero-shot", chosen=True)
    write_entry(tmp_path, "bbb222", plain, "4-shot", chosen=True)
    write_entry(tmp_path, "ccc333", plain.model_copy(update={"adapter": "runs/x/adapter"}), "tuned", chosen=True)
    assert [(entry.candidate, entry.chosen) for entry in read_entries(tmp_path)] == [
        ("aaa111", False), ("bbb222", True), ("ccc333", True),
    ]  # fmt: skip
    assert find_entry(tmp_path, "bb").label == "4-shot"
    with pytest.raises(EngineError, match="No candidates are called zz"):
        find_entry(tmp_path, "zz")


def test_fewer_fixed_examples_are_among_more_and_labels_take_turns() -> None:
    pool = make_pool([example(f"e{n}", f"q{n}", label="ab"[n % 2]) for n in range(12)], "label")
    four, two = (pool.fixed(FewShotSettings(k=k)) for k in (4, 2))
    assert four[:2] == two
    assert [one.fields["label"] for one in four] == [four[0].fields["label"], four[1].fields["label"]] * 2
    assert four[0].fields["label"] != four[1].fields["label"]
    assert pool.fixed(FewShotSettings(k=4, seed=1)) != four


def test_nearest_examples_are_the_nearest_with_the_nearest_last() -> None:
    pool = make_pool(
        [example("cat", "What does a cat eat?"), example("car", "How fast is a car?"), example("sea", "Deep sea?")]
    )
    chosen = NearestExamples(pool).choose(["What does the old cat eat?"], 2)[0]
    assert chosen[-1].id == "cat" and len(chosen) == 2


def test_the_pool_decides_what_nearest_means() -> None:
    few, more = (FewShotPool(tuple(example(f"e{n}", "q") for n in range(count))) for count in (3, 4))
    nearest, none = FewShotSettings(k=2, selection="nearest"), FewShotSettings(k=0, selection="nearest")
    assert few.identity(nearest) != more.identity(nearest)
    assert few.identity(none) == more.identity(none) == {"k": 0}


def test_examples_are_known_by_what_they_say_not_by_their_line(tmp_path: Path) -> None:
    lines = [
        '{"question": "A?", "answer": "a"}',
        '{"question": "B?", "answer": "b"}',
        '{"question": "A?", "answer": "a"}',
    ]
    for name, order in (("one", lines), ("two", lines[::-1])):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(order) + "\n")
    one, two = (read_examples(tmp_path / f"{name}.jsonl", ProjectData()).examples for name in ("one", "two"))
    assert {example.id for example in one} == {example.id for example in two}
    assert len({example.id for example in one}) == 3


def test_running_text_has_nothing_to_score(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"text": "Once upon a time."}\n')
    with pytest.raises(EngineError, match="no answer to score"):
        read_examples(tmp_path / "t.jsonl", ProjectData())


def test_of_a_pair_the_preferred_answer_is_the_example(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"prompt": "Hello?", "chosen": "Good day!", "rejected": "What."}\n')
    [example] = read_examples(path, ProjectData()).examples
    assert (example.question, example.reference) == ("Hello?", "Good day!")
