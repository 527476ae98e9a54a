"""Export, merge and combination: what plain transformers and peft load answers as base and adapter did."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.jobs.folder import RunFolder, find_run
from rung.engine.jobs.reader import read_run
from rung.engine.results.adapters import list_adapters
from rung.engine.results.export_worker import export
from rung.engine.results.exports import (
    ErrandWorker,
    Part,
    combine_errand,
    export_errand,
    partial_of,
    refuse_without_space,
)
from rung.engine.results.whole_folder import whole_folder
from tests.helpers.trained_runs import (
    CHOSEN,
    bottleneck_run,
    full_run,
    light_run,
    lora_run,
    make_project,
    put_score,
    reward_run,
)

SFT, OTHER = "20260102-030405-sft-ab12", "20260102-040405-sft-cd34"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project")


def do(errand: Any) -> dict[str, Any]:
    """The worker's work in this process."""
    from rung.engine.results.combine import combine

    work = combine if errand.asked["kind"] == "combine" else export
    return work(errand.asked, lambda _: None)


def logits(model: Any) -> Any:
    import torch

    with torch.no_grad():
        return model.eval()(torch.tensor([[1, 70, 80, 90, 100, 110]])).logits.float()


def base_of(root: Path, **options: Any) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(root / "tiny", **options)


def adapted(root: Path, folder: RunFolder) -> Any:
    from peft import PeftModel

    return logits(PeftModel.from_pretrained(base_of(root), folder.path / "adapter"))


def difference(first: Any, second: Any) -> float:
    return float((first - second).abs().max())


@pytest.mark.parametrize("options", [{}, {"use_dora": True}, {"use_rslora": True}])
def test_a_merged_model_answers_as_base_and_adapter(root: Path, options: dict[str, Any]) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = lora_run(root, SFT, **options)
    said = do(export_errand(root, folder, merged=True))
    target = root / "exports" / f"{SFT}-merged"
    assert said["path"] == str(target) and said["kind"] == "model" and said["dtype"] == "float32"
    merged = AutoModelForCausalLM.from_pretrained(target)
    wanted = adapted(root, folder)
    assert difference(logits(merged), wanted) < 1e-4 * float(wanted.abs().max())
    assert difference(logits(base_of(root)), wanted) > 1e-2, "the adapter does something"
    assert AutoTokenizer.from_pretrained(target).chat_template == (root / "tiny" / "chat_template.jinja").read_text()
    assert not (target / "adapter_config.json").exists()
    assert [file.suffix for file in target.iterdir() if file.stat().st_size > 50_000] == [".safetensors"]


def test_a_merge_in_bfloat16_is_within_its_rounding(root: Path) -> None:
    from transformers import AutoModelForCausalLM

    folder = lora_run(root, SFT)
    said = do(export_errand(root, folder, merged=True, dtype="bfloat16"))
    merged = AutoModelForCausalLM.from_pretrained(said["path"])
    assert str(merged.dtype) == "torch.bfloat16"
    wanted = adapted(root, folder)
    assert 0 < said["largest_difference"] < 0.05 * said["largest_logit"]
    assert difference(logits(merged), wanted) < 0.05 * float(wanted.abs().max())


def test_a_merge_into_a_tied_head_leaves_the_embedding_alone(root: Path) -> None:
    from transformers import AutoModelForCausalLM

    folder = lora_run(root, SFT, target_modules=["q_proj", "lm_head"])
    said = do(export_errand(root, folder, merged=True))
    merged = AutoModelForCausalLM.from_pretrained(said["path"])
    assert merged.config.tie_word_embeddings is False
    wanted = adapted(root, folder)
    assert difference(logits(merged), wanted) < 1e-4 * float(wanted.abs().max())


def test_a_merge_that_answers_otherwise_is_refused_and_leaves_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rung.engine.results import merge

    folder = lora_run(root, SFT)
    monkeypatch.setattr(merge, "TOLERANCE", {"float32": -1.0})
    with pytest.raises(EngineError, match="doesn't answer as base and adapter do"):
        do(export_errand(root, folder, merged=True))
    assert list((root / "exports").iterdir()) == []


def test_a_qlora_is_merged_into_the_unquantised_base_and_says_so(root: Path) -> None:
    folder = lora_run(root, SFT, quantization="nf4")
    said = do(export_errand(root, folder, merged=True))
    assert "trained over nf4 weights and is merged into the unquantised base" in said["notes"][0]
    assert "unquantised base" in (Path(said["path"]) / "README.md").read_text()
    config = json.loads((Path(said["path"]) / "config.json").read_text())
    assert "quantization_config" not in config


def test_a_bottleneck_is_refused_to_merge_and_exported_beside_its_base(root: Path) -> None:
    folder = bottleneck_run(root, SFT)
    with pytest.raises(EngineError, match="can't be merged") as caught:
        export_errand(root, folder, merged=True)
    assert "non-linearity" in caught.value.details
    assert not (root / "exports").exists()
    said = do(export_errand(root, folder))
    assert said["kind"] == "adapter" and "only where Rung is installed" in said["notes"][0]


def test_an_exported_adapter_loads_in_plain_peft(root: Path) -> None:
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoTokenizer

    folder = lora_run(root, SFT)
    said = do(export_errand(root, folder, to=root / "out"))
    model = AutoPeftModelForCausalLM.from_pretrained(said["path"])
    assert difference(logits(model), adapted(root, folder)) == 0
    tokenizer = AutoTokenizer.from_pretrained(said["path"])
    turns = [{"role": "user", "content": "hello"}]
    assert tokenizer.apply_chat_template(turns, tokenize=False).startswith("<|im_start|>user")


def test_a_full_fine_tune_is_exported_as_it_is(root: Path) -> None:
    from transformers import AutoModelForCausalLM

    folder = full_run(root, SFT)
    errand = export_errand(root, folder, merged=True)
    assert errand.target.name == SFT, "there is nothing to merge"
    said = do(errand)
    tuned = AutoModelForCausalLM.from_pretrained(folder.path / "model")
    assert said["kind"] == "model" and not said["merged"]
    assert difference(logits(AutoModelForCausalLM.from_pretrained(said["path"])), logits(tuned)) == 0


def test_an_adapter_over_a_full_fine_tune_is_merged_into_that(root: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    below = full_run(root, SFT)
    folder = lora_run(root, OTHER, changes={"start_from": f"run:{SFT}"})
    said = do(export_errand(root, folder, merged=True))
    under = AutoModelForCausalLM.from_pretrained(below.path / "model")
    wanted = logits(PeftModel.from_pretrained(under, folder.path / "adapter"))
    merged = logits(AutoModelForCausalLM.from_pretrained(said["path"]))
    assert difference(merged, wanted) < 1e-4 * float(wanted.abs().max())
    assert f"| went on from | {SFT} |" in (Path(said["path"]) / "README.md").read_text()


def test_a_reward_model_is_merged_with_its_head(root: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    folder = reward_run(root, SFT)
    said = do(export_errand(root, folder, merged=True))
    merged = AutoModelForSequenceClassification.from_pretrained(said["path"])
    base = AutoModelForSequenceClassification.from_pretrained(root / "tiny", num_labels=1)
    wanted = logits(PeftModel.from_pretrained(base, folder.path / "adapter"))
    assert wanted.shape == (1, 1)
    assert difference(logits(merged), wanted) < 1e-4 * float(wanted.abs().max())
    assert "pipeline_tag: text-classification" in (Path(said["path"]) / "README.md").read_text()


def test_the_card_says_base_data_recipe_scores_and_forgetting(root: Path) -> None:
    from rung.engine.core.files import sha256_file
    from rung.engine.models.weights_hash import weights_hash

    folder = lora_run(root, SFT)
    put_score(root, SFT, 0.7)
    card = (Path(do(export_errand(root, folder))["path"]) / "README.md").read_text()
    front, _, body = card.removeprefix("---\n").partition("\n---\n")
    assert front.splitlines() == ["library_name: peft", "pipeline_tag: text-generation", "tags: [rung, sft, lora]"]
    assert f"| base | tiny, weights {weights_hash(root / 'tiny')} |" in body
    assert f"| training | data/train.jsonl | {sha256_file(root / 'data' / 'train.jsonl')} |" in body
    assert f"| checkpoint | {CHOSEN} |" in body
    assert "| tuned | exact_match | 0.700 | 0.600 to 0.800 | 50 | abcdef012345 |" in body
    assert "| loss | 2.0000 | 2.0200 | +0.0200 |" in body
    assert "Forgotten over this run alone: perplexity of general text +2.0 %." in body
    assert folder.recipe.read_text().strip() in body
    assert "Changed since the run began: data/train.jsonl." in body, "the recorded run began in 2023"
    assert str(root) not in card


def test_nothing_is_written_over(root: Path) -> None:
    folder = lora_run(root, SFT)
    filled = root / "filled"
    filled.mkdir()
    (filled / "thing").write_text("mine")
    with pytest.raises(EngineError, match="is not empty"):
        export_errand(root, folder, to=filled)
    with pytest.raises(EngineError, match="is not a folder"):
        export_errand(root, folder, to=filled / "thing")
    (root / "empty").mkdir()
    do(export_errand(root, folder, to=root / "empty"))
    assert (root / "empty" / "adapter_model.safetensors").exists()


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with pytest.raises(RuntimeError), whole_folder(target) as partial:
        (partial / "half").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    partial_of(target).mkdir()
    (partial_of(target) / "left by a killed one").write_text("")
    with whole_folder(target) as partial:
        assert list(partial.iterdir()) == [] and not target.exists()
        (partial / "whole").write_text("whole")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "whole"]


def test_a_disk_without_room_is_told_before_anything_is_written(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    folder = lora_run(root, SFT)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 99, 1))  # type: ignore[attr-defined]
    for merged in (False, True):
        with pytest.raises(EngineError, match="not enough room") as caught:
            do(export_errand(root, folder, merged=merged))
        assert "0.00 GB are free" in caught.value.details
    assert list((root / "exports").iterdir()) == []
    refuse_without_space(root / "not" / "there" / "yet", 1)


def test_a_run_without_a_result_has_nothing_to_export(root: Path) -> None:
    folder = RunFolder(root / "runs" / SFT)
    folder.path.mkdir(parents=True)
    with pytest.raises(EngineError, match="no result yet"):
        export_errand(root, folder)


@pytest.mark.parametrize("options", [{}, {"use_rslora": True}])
def test_cat_is_the_exact_weighted_sum_and_a_run_of_its_own(root: Path, options: dict[str, Any]) -> None:
    from peft import PeftModel

    first, second = lora_run(root, SFT, **options), lora_run(root, OTHER, seed=1, r=8, **options)
    said = do(combine_errand(root, [Part(first, 0.75), Part(second, -0.5)]))
    made = find_run(root, said["run"])
    assert said["rank"] == 12 and read_run(made)[1] == "finished"
    deltas = {folder.id: weight_changes(root, folder) for folder in (first, second, made)}
    for name, change in deltas[made.id].items():
        wanted = 0.75 * deltas[first.id][name] - 0.5 * deltas[second.id][name]
        assert difference(change, wanted) < 1e-5
    assert PeftModel.from_pretrained(base_of(root), made.path / "adapter").peft_config["default"].r == 12
    (listed,) = [adapter for adapter in list_adapters(root) if adapter.run == made.id]
    assert listed.combined == [{"run": SFT, "weight": 0.75}, {"run": OTHER, "weight": -0.5}]
    assert listed.chosen == "0.75 × sft-ab12 + -0.5 × sft-cd34, combined by cat" and listed.base == "tiny"
    card = (Path(do(export_errand(root, made))["path"]) / "README.md").read_text()
    assert "| sum of | 0.75 × sft-ab12 + -0.5 × sft-cd34 |" in card
    merged = do(export_errand(root, made, merged=True))
    assert merged["kind"] == "model"


@pytest.mark.parametrize("how", ["svd", "ties_svd"])
def test_svd_keeps_the_rank_that_is_asked(root: Path, how: Any) -> None:
    first, second = lora_run(root, SFT), lora_run(root, OTHER, seed=1, r=8)
    parts = [Part(first, 0.5), Part(second, 0.5)]
    exact = weight_changes(root, find_run(root, do(combine_errand(root, parts))["run"]))
    made = find_run(root, do(combine_errand(root, parts, how=how, rank=12))["run"])
    config = json.loads((made.path / "adapter" / "adapter_config.json").read_text())
    assert config["r"] == 12
    errors = {name: difference(change, exact[name]) for name, change in weight_changes(root, made).items()}
    # Rank 12 holds the whole sum of a rank 4 and a rank 8; trimmed and sign-elected it is another one.
    assert (max(errors.values()) < 1e-4) == (how == "svd")
    assert do(combine_errand(root, parts, how=how))["rank"] == 8


def weight_changes(root: Path, folder: RunFolder) -> dict[str, Any]:
    """What the run's adapter adds to each layer's weight."""
    from peft import PeftModel

    model = PeftModel.from_pretrained(base_of(root), folder.path / "adapter")
    return {
        name: module.get_delta_weight("default").detach()
        for name, module in model.named_modules()
        if hasattr(module, "get_delta_weight")
    }


def test_what_cannot_be_added_up_is_refused(root: Path) -> None:
    lora, dora = lora_run(root, SFT), lora_run(root, OTHER, use_dora=True)
    bottleneck = bottleneck_run(root, "20260102-050405-sft-ef56")
    with pytest.raises(EngineError, match=r"Only LoRA .* is DoRA"):
        combine_errand(root, [Part(lora, 1.0), Part(dora, 1.0)])
    with pytest.raises(EngineError, match=r"Only LoRA .* is bottleneck"):
        combine_errand(root, [Part(lora, 1.0), Part(bottleneck, 1.0)])
    with pytest.raises(EngineError, match="is no combination"):
        combine_errand(root, [Part(lora, 1.0)])
    with pytest.raises(EngineError, match="named twice"):
        combine_errand(root, [Part(lora, 1.0), Part(lora, 0.5)])
    with pytest.raises(EngineError, match="sum of the ranks"):
        combine_errand(root, [Part(lora, 1.0), Part(lora_run(root, "20260102-060405-sft-0001"), 0.5)], rank=3)
    full_run(root, "20260102-070405-sft-0002")
    other_base = lora_run(root, "20260102-080405-sft-0003", changes={"start_from": "run:20260102-070405-sft-0002"})
    with pytest.raises(EngineError, match="one base model"):
        combine_errand(root, [Part(lora, 1.0), Part(other_base, 1.0)])


def test_the_worker_does_it_in_a_process_of_its_own(root: Path) -> None:
    folder = lora_run(root, SFT)
    phases: list[str] = []
    said = ErrandWorker(export_errand(root, folder, merged=True)).run(phases.append)
    assert phases == ["loading the base tiny", "merging", "saving the merged model", "writing the model card"]
    assert (Path(said["path"]) / "README.md").exists()
    assert said["bytes"] == sum(file.stat().st_size for file in Path(said["path"]).iterdir())
    with pytest.raises(EngineError, match="is not empty"):
        ErrandWorker(export_errand(root, folder, merged=True, to=root / "other")).run(
            lambda _: (root / "other").mkdir(exist_ok=True) or (root / "other" / "mine").write_text("")
        )
    assert [path.name for path in (root / "other").iterdir()] == ["mine"]


def test_a_cancelled_worker_leaves_nothing(root: Path) -> None:
    worker = ErrandWorker(export_errand(root, lora_run(root, SFT), merged=True))
    with pytest.raises(EngineError, match="cancelled"):
        worker.run(lambda _: worker.cancel())
    assert list(root.glob("exports/*")) == []


def test_a_worker_that_nobody_listens_to_any_more_finishes(tmp_path: Path) -> None:
    worker = ErrandWorker(export_errand(tmp_path, light_run(tmp_path, SFT)))
    process = worker._start()
    assert process.stdout is not None
    assert json.loads(process.stdout.readline()) == {"phase": "copying the weights"}
    process.stdout.close()
    process.send_signal(signal.SIGHUP)
    assert process.wait() == 0
    assert (tmp_path / "exports" / SFT / "README.md").exists()


def test_a_worker_that_dies_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    python = tmp_path / "broken-python"
    python.write_text("#!/bin/sh\necho no such luck >&2\nexit 3\n")
    python.chmod(0o755)
    errand = export_errand(tmp_path, light_run(tmp_path, SFT), python=str(python))
    with pytest.raises(EngineError, match="broke off") as caught:
        ErrandWorker(errand).run()
    assert "no such luck" in caught.value.details
    with pytest.raises(EngineError, match="can't be started"):
        ErrandWorker(export_errand(tmp_path, find_run(tmp_path, SFT), python=str(tmp_path / "none"))).run()
