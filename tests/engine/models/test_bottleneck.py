"""Bottleneck adapters on every shape of model: nothing at first, saved, loaded, switched, mixed, refused to merge."""

from pathlib import Path
from typing import Any, get_args

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.jobs.folder import new_run_folder
from rung.engine.jobs.reader import RunReader
from rung.engine.models.attach import attach_adapter, load_adapter
from rung.engine.models.forecast import ModelShape, shape_of_folder, trained_parameters
from rung.engine.models.load import load_model
from rung.engine.recipe.schema import AdapterSettings, ModelSettings
from tests.helpers.method_runs import chat_rows, curve, make_recipe, pair_rows, sit, values, write_rows
from tests.helpers.tiny import Architecture, make_tiny_model

ARCHITECTURES = get_args(Architecture)
WIDTH, LAYERS = 32, 2


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {name: make_tiny_model(root / name, architecture=name) for name in ARCHITECTURES}


def load(folder: Path) -> Any:
    return load_model(ModelSettings(name=str(folder)), folder, "cpu")


def settings(**changes: Any) -> AdapterSettings:
    return AdapterSettings(**{"kind": "bottleneck", "r": 4, "lora_dropout": 0.0, **changes})


def trained(model: Any, seed: int) -> Any:
    """The model with adapter weights that change its answers, as training would leave them."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "bottleneck_up" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return model


def logits(model: Any, **options: Any) -> Any:
    import torch

    ids = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16]])
    with torch.no_grad():
        return model(input_ids=ids, **options).logits


def is_same(first: Any, second: Any) -> bool:
    import torch

    return bool(torch.allclose(first, second, atol=1e-5))


@pytest.mark.parametrize("placement", ["pfeiffer", "houlsby"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_new_adapter_changes_nothing_and_has_the_weights_of_the_formula(
    folders: dict[str, Path], architecture: str, placement: str
) -> None:
    base = logits(load(folders[architecture]))
    model = attach_adapter(load(folders[architecture]), settings(placement=placement, r=4)).eval()
    assert is_same(logits(model), base)
    modules = LAYERS * (2 if placement == "houlsby" else 1)
    added = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert added == modules * (2 * WIDTH * 4 + 4 + WIDTH)
    recipe = make_recipe("sft", folders[architecture], adapter=settings(placement=placement, r=4).model_dump())
    assert trained_parameters(shape_of_folder(folders[architecture]), recipe) == added
    assert not is_same(logits(trained(model, 1)), base)
    with model.disable_adapter():
        assert is_same(logits(model), base)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_save_load_switch_several_and_mixed_batches(
    folders: dict[str, Path], architecture: str, tmp_path: Path
) -> None:
    for seed, options in ((1, {"r": 4}), (2, {"r": 8, "placement": "houlsby", "activation": "gelu"})):
        model = trained(attach_adapter(load(folders[architecture]), settings(**options)), seed)
        model.save_pretrained(tmp_path / f"adapter-{seed}")
    alone = {
        "__base__": logits(load(folders[architecture])),
        "a": logits(load_adapter(load(folders[architecture]), tmp_path / "adapter-1").eval()),
        "b": logits(load_adapter(load(folders[architecture]), tmp_path / "adapter-2").eval()),
    }
    model = load_adapter(load(folders[architecture]), tmp_path / "adapter-1").eval()
    model.load_adapter(str(tmp_path / "adapter-1"), "a")
    model.load_adapter(str(tmp_path / "adapter-2"), "b")
    for name in ("a", "b"):
        model.set_adapter(name)
        assert is_same(logits(model), alone[name])
    assert not is_same(alone["a"], alone["b"])
    mixed = logits(model, adapter_names=["b", "__base__", "a"])
    for row, name in enumerate(["b", "__base__", "a"]):
        assert is_same(mixed[row], alone[name][row]), name
    model.base_model.set_adapter(["a", "b"])
    assert not is_same(logits(model), alone["a"]), "two adapters one after the other"
    model.set_adapter("a")
    model.delete_adapter("b")
    assert is_same(logits(model), alone["a"])
    with pytest.raises(ValueError, match="no adapter gone"):
        logits(model, adapter_names=["gone", "a", "a"])


def test_mixed_generation_answers_each_row_as_its_adapter_would(folders: dict[str, Path], tmp_path: Path) -> None:
    import torch

    model = trained(attach_adapter(load(folders["llama"]), settings()), 3)
    model.save_pretrained(tmp_path / "adapter")
    model = load_adapter(load(folders["llama"]), tmp_path / "adapter").eval()
    ids = torch.tensor([[5, 6, 7], [5, 6, 7]])
    greedy = {"max_new_tokens": 6, "do_sample": False, "attention_mask": torch.ones_like(ids)}
    tuned = model.generate(input_ids=ids, **greedy)
    with model.disable_adapter():
        base = model.generate(input_ids=ids, **greedy)
    both = model.generate(input_ids=ids, adapter_names=["__base__", "default"], **greedy)
    assert both[0].tolist() == base[0].tolist()
    assert both[1].tolist() == tuned[1].tolist()
    assert base[0].tolist() != tuned[0].tolist()


def test_merging_is_refused(folders: dict[str, Path]) -> None:
    model = attach_adapter(load(folders["llama"]), settings())
    for merge in (model.merge_and_unload, model.merge_adapter):
        with pytest.raises(EngineError, match="can't be merged"):
            merge()
    assert is_same(logits(model.unload()), logits(load(folders["llama"])))


def test_unknown_layers_are_refused_with_those_there_are(folders: dict[str, Path]) -> None:
    with pytest.raises(EngineError, match="No layer") as caught:
        attach_adapter(load(folders["llama"]), settings(target_modules=["nowhere"]))
    assert "down_proj" in caught.value.details
    shape = ModelShape(4096, (("model.layers.0.moe.w3.weight", 32, 64),), 32, 64, 1, 16, 64)
    with pytest.raises(EngineError, match="which layers") as caught:
        trained_parameters(shape, make_recipe("sft", folders["llama"], adapter=settings().model_dump()))
    assert "layers there are: w3" in caught.value.details and "target_modules" in caught.value.hint
    model = attach_adapter(load(folders["llama"]), settings(target_modules=["q_proj"]))
    assert sum("bottleneck_down" in name for name, _ in model.named_parameters()) == 2 * LAYERS


def test_it_trains_resumes_and_is_the_reference_of_a_later_run(folders: dict[str, Path], tmp_path: Path) -> None:
    adapter = {"kind": "bottleneck", "r": 8, "placement": "houlsby"}
    recipe = make_recipe("sft", folders["llama"], adapter=adapter)
    whole = new_run_folder(write_rows(tmp_path / "whole", chat_rows()), "sft")
    sit(recipe, whole)
    state = RunReader(whole).catch_up()
    assert state.result["metrics"]["loss"] < state.result["metrics"]["loss_before"]
    broken = new_run_folder(write_rows(tmp_path / "broken", chat_rows()), "sft")
    sit(recipe, broken, stop_at=5)
    sit(recipe, broken)
    assert curve(broken, "loss") == curve(whole, "loss")

    root = write_rows(tmp_path / "whole", pair_rows(12))
    later = new_run_folder(root, "dpo")
    short = {"max_steps": 3, "eval_steps": 3}
    sit(make_recipe("dpo", folders["llama"], adapter=adapter, start_from=f"run:{whole.id}", training=short), later)
    assert values(later, "rewards/margins")[0] == 0.0
    assert values(later, "rewards/margins")[-1] > 0.0
    full = make_recipe("sft", folders["llama"], adapter=None, start_from=f"run:{whole.id}")
    write_rows(root, chat_rows())
    with pytest.raises(EngineError, match="can't be merged"):
        sit(full, new_run_folder(root, "sft"))
