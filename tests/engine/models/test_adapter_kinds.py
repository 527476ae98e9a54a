"""LoRA, DoRA, rsLoRA, QLoRA and full training on every shape of model: counted, learning, saved, switched off."""

from pathlib import Path
from typing import Any, get_args

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.jobs.folder import new_run_folder
from rung.engine.jobs.reader import RunReader
from rung.engine.models.attach import attach_adapter, linear_layers, load_adapter
from rung.engine.models.forecast import shape_of_config, shape_of_folder, trained_parameters
from rung.engine.models.load import load_model
from rung.engine.models.targets import named_layers
from rung.engine.recipe.schema import AdapterSettings, ModelSettings
from tests.helpers.method_runs import chat_rows, make_recipe, sit, values, write_rows
from tests.helpers.tiny import Architecture, make_tiny_model

ARCHITECTURES = get_args(Architecture)
KINDS: dict[str, dict[str, Any]] = {
    "lora": {"kind": "lora"},
    "dora": {"kind": "dora"},
    "rslora": {"kind": "lora", "use_rslora": True},
    "qlora": {"kind": "lora"},
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    # As wide as one block of 4-bit weights.
    return {name: make_tiny_model(root / name, architecture=name, hidden_size=64) for name in ARCHITECTURES}


def load(folder: Path, kind: str) -> Any:
    quantization = "nf4" if kind == "qlora" else "none"
    return load_model(ModelSettings(name=str(folder), quantization=quantization), folder, "cpu")


def settings(kind: str, **changes: Any) -> AdapterSettings:
    return AdapterSettings(**{"r": 4, "lora_alpha": 8, "lora_dropout": 0.0, **KINDS[kind], **changes})


def ids() -> Any:
    import torch

    return torch.tensor([[5, 6, 7, 8, 9, 10], [11, 12, 13, 14, 15, 16]])


def logits(model: Any) -> Any:
    import torch

    with torch.no_grad():
        return model.eval()(input_ids=ids()).logits


def train_a_little(model: Any) -> tuple[float, float]:
    """(loss before, loss after) eight steps on one batch."""
    import torch

    chosen = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(chosen, lr=1e-2)
    losses = []
    # In evaluation mode, so that the dropout of some architectures doesn't blur eight losses.
    model.eval()
    for _ in range(8):
        loss = model(input_ids=ids(), labels=ids()).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss))
    return losses[0], losses[-1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_adapter_of_each_kind_on_each_shape(
    folders: dict[str, Path], architecture: str, kind: str, tmp_path: Path
) -> None:
    import torch

    base = logits(load(folders[architecture], kind))
    model = attach_adapter(load(folders[architecture], kind), settings(kind))
    assert torch.allclose(logits(model), base, atol=1e-4), "a new adapter changes nothing"
    added = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    quantized = {"model": {"quantization": "nf4"}} if kind == "qlora" else {}
    recipe = make_recipe("sft", folders[architecture], adapter=settings(kind).model_dump(), **quantized)
    assert trained_parameters(shape_of_folder(folders[architecture]), recipe) == added
    before, after = train_a_little(model)
    assert after < before - 0.01
    tuned = logits(model)
    assert not torch.allclose(tuned, base, atol=1e-2)
    with model.disable_adapter():
        assert torch.allclose(logits(model), base, atol=1e-4), "without the adapter it is the base"
    model.save_pretrained(tmp_path / "adapter")
    again = load_adapter(load(folders[architecture], kind), tmp_path / "adapter")
    assert torch.allclose(logits(again), tuned, atol=1e-4)
    if kind != "qlora":
        assert torch.allclose(logits(again.merge_and_unload()), tuned, atol=1e-3)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_all_weights_of_each_shape_can_be_trained(folders: dict[str, Path], architecture: str) -> None:
    model = load(folders[architecture], "full")
    model.requires_grad_(True)
    recipe = make_recipe("sft", folders[architecture], adapter=None)
    shape = shape_of_folder(folders[architecture])
    assert trained_parameters(shape, recipe) == sum(parameter.numel() for parameter in model.parameters())
    before, after = train_a_little(model)
    assert after < before - 0.5


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_models_configuration_tells_the_shape_that_its_files_have(
    folders: dict[str, Path], architecture: str
) -> None:
    from transformers import AutoConfig

    folder = folders[architecture]
    told, read = shape_of_config(AutoConfig.from_pretrained(folder)), shape_of_folder(folder)
    assert sorted(told.linear) == sorted(read.linear)
    for name in ("parameters", "hidden_size", "intermediate_size", "num_layers", "key_value_width", "query_width",
                 "vocab_size", "square_heads"):  # fmt: skip
        assert getattr(told, name) == getattr(read, name), name


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_layers_that_are_not_there_are_refused_with_those_that_are(folders: dict[str, Path], architecture: str) -> None:
    model = load(folders[architecture], "lora")
    with pytest.raises(EngineError, match="No layer of the model fits nowhere") as caught:
        attach_adapter(model, settings("lora", target_modules=["nowhere"]))
    there = {name.rpartition(".")[2] for name in linear_layers(model)}
    assert all(name in caught.value.details for name in there)
    assert len(there) >= 4


def test_one_misspelt_layer_among_good_ones_is_not_passed_over(folders: dict[str, Path]) -> None:
    with pytest.raises(EngineError, match="No layer of the model fits v_prj") as caught:
        attach_adapter(load(folders["llama"], "lora"), settings("lora", target_modules=["q_proj", "v_prj"]))
    assert "v_proj" in caught.value.details
    recipe = make_recipe("sft", folders["llama"], adapter={"target_modules": ["q_proj", "v_prj"]})
    with pytest.raises(EngineError, match="v_prj"):
        trained_parameters(shape_of_folder(folders["llama"]), recipe)


def test_targets_are_ends_of_names_or_one_pattern() -> None:
    names = ["model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.v_proj", "model.layers.1.self_attn.q_proj"]
    assert named_layers(names, ["q_proj"]) == [names[0], names[2]]
    assert named_layers(names, ["0.self_attn.q_proj", "v_proj"]) == names[:2]
    assert named_layers(names, r".*\.1\..*") == names[2:]
    assert named_layers(names, "v_proj") == names[1:2]
    for wrong in (["proj"], "proj", "(q|v)_proj", []):
        with pytest.raises(EngineError, match="No layer"):
            named_layers(names, wrong)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*KINDS, "bottleneck", "full"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_whole_run_of_each_kind_on_each_shape(
    folders: dict[str, Path], architecture: str, kind: str, tmp_path: Path
) -> None:
    adapter = None if kind == "full" else KINDS.get(kind, {"kind": kind})
    # At three times this rate a random model's loss leaps up now and then, at the last step as likely as at any other.
    training = {"max_steps": 8, "eval_steps": 8, "learning_rate": 3e-3}
    changes: dict[str, Any] = {"adapter": adapter, "training": training}
    if kind == "qlora":
        changes["model"] = {"quantization": "nf4"}
    folder = new_run_folder(write_rows(tmp_path, chat_rows()), "sft")
    sit(make_recipe("sft", folders[architecture], **changes), folder)
    assert RunReader(folder).catch_up().status == "finished"
    assert values(folder, "evaluation/loss")[-1] < values(folder, "evaluation/loss")[0]
    assert (folder.path / ("model" if kind == "full" else "adapter")).is_dir()
