"""In what type weights are held and inputs are multiplied, with autocast and without."""

from pathlib import Path

import pytest
import torch

from rung.engine.jobs.folder import new_run_folder
from rung.engine.models.attach import attach_adapter
from rung.engine.models.load import held_in_training, load_model
from rung.engine.recipe.schema import AdapterSettings, ModelSettings
from rung.engine.training.model import hold_trained_in_float32
from tests.helpers.method_runs import chat_rows, make_recipe, sit, warnings_of, write_rows
from tests.helpers.tiny import make_tiny_model


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


def test_weights_that_are_all_trained_are_held_in_float32_unless_another_type_is_named() -> None:
    auto, named = ModelSettings(name="pocket"), ModelSettings(name="pocket", dtype="bfloat16")
    assert held_in_training(auto, in_full=True).dtype == "float32"
    assert held_in_training(auto, in_full=False) is auto
    assert held_in_training(named, in_full=True) is named


def test_a_named_half_precision_of_all_weights_is_done_and_warned_of(model_folder: Path, tmp_path: Path) -> None:
    folder = new_run_folder(write_rows(tmp_path, chat_rows(8)), "sft")
    training = {"max_steps": 1, "eval_steps": 1}
    sit(make_recipe("sft", model_folder, adapter=None, model={"dtype": "bfloat16"}, training=training), folder)
    assert any("Every weight is trained in bfloat16" in warning for warning in warnings_of(folder))


@pytest.mark.parametrize(("kind", "widened"), [("lora", False), ("dora", True)])
def test_a_lora_layers_input_is_not_widened_under_autocast(model_folder: Path, kind: str, widened: bool) -> None:
    half = load_model(ModelSettings(name=str(model_folder), dtype="bfloat16"), Path(), "cpu")
    model = attach_adapter(half, AdapterSettings(kind=kind, lora_dropout=0.0))
    layer = next(module for module in model.modules() if hasattr(module, "cast_input_dtype_enabled"))
    weight = layer.lora_A["default"].weight
    assert weight.dtype == torch.float32
    x = torch.ones(2, 3, weight.shape[1], dtype=torch.bfloat16)
    assert layer._cast_input_dtype(x, torch.float32).dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer._cast_input_dtype(x, torch.float32).dtype == (torch.float32 if widened else torch.bfloat16)


def test_leaving_the_cast_to_autocast_changes_no_bit_of_output_and_gradient(model_folder: Path) -> None:
    torch.manual_seed(0)
    half = load_model(ModelSettings(name=str(model_folder), dtype="bfloat16"), Path(), "cpu")
    model = attach_adapter(half, AdapterSettings(lora_dropout=0.0))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    ids = torch.randint(10, 200, (2, 12))

    def run() -> tuple[torch.Tensor, list[torch.Tensor]]:
        model.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = model(input_ids=ids, labels=ids)
        output.loss.backward()
        return output.logits.detach(), [one.grad.clone() for one in model.parameters() if one.grad is not None]

    logits, gradients = run()
    for module in model.modules():
        if hasattr(module, "cast_input_dtype_enabled"):
            module._cast_input_dtype = module._cast_input_dtype.args[0]  # PEFT's own
    plain_logits, plain_gradients = run()
    assert torch.equal(logits, plain_logits)
    assert all(torch.equal(a, b) for a, b in zip(gradients, plain_gradients, strict=True))


def test_what_is_trained_beside_a_frozen_base_is_float32_under_autocast(model_folder: Path) -> None:
    half = load_model(ModelSettings(name=str(model_folder), dtype="bfloat16"), Path(), "cpu").requires_grad_(False)
    head = half.get_output_embeddings().weight.requires_grad_(True)
    hold_trained_in_float32(half, make_recipe("sft", model_folder), autocast=False)
    assert head.dtype == torch.bfloat16
    hold_trained_in_float32(half, make_recipe("sft", model_folder), autocast=True)
    assert {one.dtype for one in half.parameters() if one.requires_grad} == {torch.float32}
    assert any(one.dtype == torch.bfloat16 for one in half.parameters())
