"""The parts of the generation worker, without a process: text pieces, sampling, fitting, room, proof of the base."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from rung.engine.core.errors import EngineError
from rung.engine.core.files import write_json_atomic
from rung.engine.generation.candidates import LoadedCandidates
from rung.engine.generation.client import Decoding
from rung.engine.generation.free_memory import OVERHEAD_BYTES, TrainingJob, model_bytes, refuse_without_room
from rung.engine.generation.prompting import fit_prompt
from rung.engine.generation.sampling import pick_tokens
from rung.engine.generation.session import GenerationSession
from rung.engine.generation.streaming import Answer, stream_answers
from rung.engine.jobs.events import Forecast, Memory, Started, to_json_line
from rung.engine.jobs.folder import new_run_folder
from rung.engine.jobs.slots import slot_folder
from rung.engine.models.weights import count_parameters, read_weights
from rung.engine.recipe.schema import ModelSettings
from tests.helpers.adapters_on_the_spot import make_adapter, make_bottleneck
from tests.helpers.tiny import Architecture, make_byte_tokenizer, make_tiny_model

NO_STOP: frozenset[int] = frozenset()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("parts")
    make_tiny_model(root / "model")
    make_adapter(root / "model", root / "a", seed=1)
    return root


def test_a_character_is_shown_only_when_all_its_bytes_are_there() -> None:
    tokenizer = make_byte_tokenizer()
    text = "a🙂 naïve 日本"
    answer = Answer("base", tokenizer, Decoding(max_new_tokens=1000), NO_STOP)
    pieces = []
    for token in tokenizer(text)["input_ids"]:
        answer.ids.append(token)
        pieces.append(answer.fresh_text())
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)
    assert pieces[1:5] == ["", "", "", "🙂"]


def test_bytes_that_never_become_a_character_are_shown_at_the_end() -> None:
    tokenizer = make_byte_tokenizer()
    answer = Answer("base", tokenizer, Decoding(), NO_STOP)
    answer.ids = tokenizer("ok 🙂")["input_ids"][:-1]
    assert answer.fresh_text() == "ok "
    answer.stop_reason = "length"
    assert answer.fresh_text() == "\ufffd"


def test_a_merged_adapter_is_caught_at_the_next_answer(tiny: Path) -> None:
    said: list[dict[str, Any]] = []
    session = GenerationSession(said.append, lambda request: False)
    session.handle({"type": "load", "id": 1, "model": {"name": "model"}, "root": str(tiny), "adapters": {"a": "a"},
                    "device": "cpu"})  # fmt: skip
    generate = {"type": "generate", "id": 2, "candidates": ["base", "a"], "decoding": {"max_new_tokens": 2},
                "messages": [{"role": "user", "content": "?"}]}  # fmt: skip
    session.handle(generate)
    before = [message for message in said if message["type"] == "done"]
    assert before[0]["base_matches_plain"] is True
    said.clear()
    assert session.loaded is not None
    # The planted fault: the adapter's weights added to the base's own, as a merge would leave them.
    with torch.no_grad():
        for module in session.loaded.model("base").modules():
            if hasattr(module, "get_delta_weight"):
                module.base_layer.weight += module.get_delta_weight("candidate_0")
    session.handle(generate)
    after = {message["candidate"]: message for message in said if message["type"] == "done"}
    assert after["base"]["base_matches_plain"] is False
    assert after["base"]["fingerprint"] != before[0]["fingerprint"]
    assert said[-1]["type"] == "error"
    assert said[-1]["message"] == "The base pane is not the plain base"


def test_a_fault_of_the_mixed_batch_alone_is_caught_too(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = LoadedCandidates(ModelSettings(name="model"), tiny, "cpu")
    loaded.attach("a", tiny / "a")
    assert loaded.groups(["base", "a"]) == [("base", "a")]
    assert loaded.check_base().matches
    # The planted fault: the base's row of a mixed batch is answered by the adapter.
    model = loaded.model("base")
    forward = type(model).forward
    monkeypatch.setattr(
        type(model), "forward",
        lambda self, *args, adapter_names=None, **options: forward(
            self, *args, **options,
            **({"adapter_names": ["candidate_0"] * len(adapter_names)} if adapter_names else {}),
        ),
    )  # fmt: skip
    assert not loaded.check_base().matches


def test_a_mixed_batch_that_ignores_names_is_not_used(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import nullcontext

    from peft import LoraModel

    # As an adapter method does whose hooks nobody wrote: the names are dropped without a word.
    def hooks(self: Any, *args: Any, **options: Any) -> Any:
        options.pop("adapter_names", None)
        return nullcontext()

    monkeypatch.setattr(LoraModel, "_enable_peft_forward_hooks", hooks)
    loaded = LoadedCandidates(ModelSettings(name="model"), tiny, "cpu")
    loaded.attach("a", tiny / "a")
    assert loaded.groups(["base", "a"]) == [("base",), ("a",)]


def test_adapters_of_two_kinds_stand_on_bases_of_their_own(tiny: Path, tmp_path: Path) -> None:
    loaded = LoadedCandidates(ModelSettings(name="model"), tiny, "cpu")
    loaded.attach("a", tiny / "a")
    for label in ("narrow", "other"):
        loaded.attach(label, make_bottleneck(tiny / "model", tmp_path / label, seed=ord(label[0])))
    assert loaded.groups(loaded.labels) == [("base", "a"), ("narrow",), ("other",)]
    assert len({loaded.fingerprint(label) for label in loaded.labels}) == 4
    assert loaded.check_base().matches


def test_bottleneck_adapters_are_answered_in_one_batch(tiny: Path, tmp_path: Path) -> None:
    loaded = LoadedCandidates(ModelSettings(name="model"), tiny, "cpu")
    for label in ("narrow", "other"):
        loaded.attach(label, make_bottleneck(tiny / "model", tmp_path / label, seed=ord(label[0])))
    assert loaded.groups(loaded.labels) == [("base", "narrow", "other")]
    assert len({loaded.fingerprint(label) for label in loaded.labels}) == 3
    check = loaded.check_base()
    assert check.matches and check.max_logit_difference == 0.0


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "mistral", "gemma2", "phi3", "gpt2"])
def test_answers_with_a_cache_are_those_without_one(architecture: Architecture, tmp_path: Path) -> None:
    # 48 positions are fewer than the fixed text of the fingerprint has tokens.
    make_tiny_model(tmp_path / "model", architecture=architecture, context=48)
    loaded = LoadedCandidates(ModelSettings(name="model"), tmp_path, "cpu")
    model, decoding = loaded.model("base"), Decoding(max_new_tokens=24, temperature=1.0, seed=3)
    prompt = loaded.tokenizer("base")("Where does it stand?")["input_ids"]
    (answer,) = stream_answers(loaded, {"base": prompt}, decoding, lambda answer, piece: None, lambda: False)
    random, ids = torch.Generator().manual_seed(3), list(prompt)
    for token in answer.ids:
        with torch.inference_mode():
            logits = model(torch.tensor([ids]), use_cache=False).logits[0, -1].float()
        assert pick_tokens(logits[None], decoding, [random]) == [token]
        ids.append(token)
    assert len(set(answer.ids)) > 10


def test_models_that_take_turns_in_memory_answer_the_same(tiny: Path) -> None:
    loaded = LoadedCandidates(ModelSettings(name="model"), tiny, "cpu")
    loaded.attach("a", tiny / "a")
    fingerprints = [loaded.fingerprint(label) for label in loaded.labels]
    loaded.one_at_a_time = True
    loaded.unload()
    assert [loaded.fingerprint(label) for label in loaded.labels] == fingerprints
    assert loaded.check_base().matches


def test_a_prompt_that_fits_is_left_alone() -> None:
    tokenizer = make_byte_tokenizer()
    messages = [{"role": "user", "content": "hello"}]
    fitted = fit_prompt(tokenizer, messages, {}, 512, 100)
    assert tokenizer.decode(fitted.ids) == "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
    assert (fitted.max_new_tokens, fitted.cuts) == (100, [])


def test_a_long_last_message_loses_its_beginning_and_nothing_else() -> None:
    tokenizer = make_byte_tokenizer()
    messages = [{"role": "system", "content": "S"}, {"role": "user", "content": "x" * 300 + "END"}]
    fitted = fit_prompt(tokenizer, messages, {}, 128, 64)
    text = tokenizer.decode(fitted.ids)
    assert len(fitted.ids) + fitted.max_new_tokens <= 128
    assert text.startswith("<|im_start|>system\nS<|im_end|>") and "END<|im_end|>" in text
    assert fitted.cuts[0].startswith("the first ")


def test_a_template_that_refuses_a_role_is_an_error_of_the_user() -> None:
    tokenizer = make_byte_tokenizer("{{ raise_exception('no system role') }}")
    with pytest.raises(EngineError, match="refuses these messages"):
        fit_prompt(tokenizer, [{"role": "system", "content": "x"}], {}, None, 1)
    tokenizer.chat_template = None
    with pytest.raises(EngineError, match="no chat template"):
        fit_prompt(tokenizer, [{"role": "user", "content": "x"}], {}, None, 1)


def test_room_beside_a_job_is_what_the_job_will_not_claim() -> None:
    gib = 1 << 30
    job = TrainingJob("run-1", forecast=30 * gib, reserved=20 * gib)
    refuse_without_room(8 * gib, 20 * gib, [job])
    with pytest.raises(EngineError, match="beside run-1"):
        refuse_without_room(10 * gib, 20 * gib, [job])
    with pytest.raises(EngineError, match="can't be told"):
        refuse_without_room(None, 20 * gib, [job])
    with pytest.raises(EngineError, match="can't be told"):
        refuse_without_room(gib, 20 * gib, [TrainingJob("run-2", None, 0)])
    with pytest.raises(EngineError, match="doesn't fit on this GPU"):
        refuse_without_room(20 * gib, 20 * gib, [])
    refuse_without_room(20 * gib - OVERHEAD_BYTES, 20 * gib, [])
    refuse_without_room(None, 0, [])


def test_a_job_that_trains_on_the_cpu_is_warned_about(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = new_run_folder(tiny, "sft")
    events = [Started("host", 1, ["cpu"], 1), Forecast({"weights": 5}, 5), Memory()]
    folder.events.write_text("".join(to_json_line(event, number, 0.0) for number, event in enumerate(events)))
    write_json_atomic(slot_folder() / "cpu.json", {"run": folder.id, "path": str(folder.path)})
    # The lock is a process's own and can't be seen from within it: another process would hold it.
    monkeypatch.setattr("rung.engine.jobs.slots.is_locked", lambda path: path == slot_folder() / "cpu.lock")
    said: list[dict[str, Any]] = []
    session = GenerationSession(said.append, lambda request: False)
    session.handle({"type": "load", "id": 1, "model": {"name": "model"}, "root": str(tiny), "device": "cpu"})
    assert said[0]["type"] == "warning"
    assert said[0]["message"].startswith(f"{folder.id} trains on this CPU")
    assert said[1]["type"] == "ready"


def test_weights_are_counted_from_the_files_headers(tiny: Path) -> None:
    import safetensors.torch

    tensors = safetensors.torch.load_file(tiny / "model" / "model.safetensors")
    parameters = sum(tensor.numel() for tensor in tensors.values())
    assert count_parameters(tiny / "model") == parameters
    assert model_bytes(ModelSettings(name="model"), tiny, "bfloat16") == 2 * parameters


def test_what_lies_in_a_folder_is_told_from_its_configuration(tiny: Path, tmp_path: Path) -> None:
    assert read_weights(tiny / "model").kind == "model"
    assert (read_weights(tiny / "a").kind, read_weights(tiny / "a").method) == ("adapter", "LORA")
    with pytest.raises(EngineError, match="neither an adapter nor a model"):
        read_weights(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["LlamaForSequenceClassification"]}))
    with pytest.raises(EngineError, match="is a reward model"):
        read_weights(tmp_path)
