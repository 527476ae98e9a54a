"""Putting an adapter on a model: PEFT's configuration from a recipe's, or an earlier run's adapter to go on from."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.engine.core.errors import EngineError
from rung.engine.models.targets import as_list_or_pattern, named_layers, no_layer_fits
from rung.engine.recipe.schema import AdapterSettings

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel


def peft_config(settings: AdapterSettings, task_type: str = "CAUSAL_LM") -> "PeftConfig":
    """PEFT's configuration of a recipe's `adapter` block."""
    from peft import LoraConfig

    if settings.kind == "bottleneck":
        return _bottleneck_config(settings, task_type)
    return LoraConfig(
        r=settings.r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=as_list_or_pattern(settings.target_modules),
        use_dora=settings.kind == "dora",
        use_rslora=settings.use_rslora,
        task_type=task_type,
    )


def register_adapters() -> None:
    """Make PEFT know the kinds of adapters that it has none of; to be called before it loads any."""
    import_module("rung.engine.models.bottleneck")


def _bottleneck_config(settings: AdapterSettings, task_type: str) -> "PeftConfig":
    from rung.engine.models.bottleneck import BottleneckConfig

    return BottleneckConfig(
        r=settings.r,
        placement=settings.placement,
        activation=settings.activation,
        dropout=settings.lora_dropout,
        # The ends of the sub-layers are found by their names in the model.
        target_modules=None if settings.target_modules == "all-linear" else as_list_or_pattern(settings.target_modules),
        task_type=task_type,
    )


def attach_adapter(model: "PreTrainedModel", settings: AdapterSettings, task_type: str = "CAUSAL_LM") -> "PeftModel":
    """The model with a fresh adapter. Raises EngineError that lists the model's layers when a target fits none."""
    from peft import get_peft_model

    layers = linear_layers(model)
    if settings.target_modules != "all-linear":
        named_layers(layers, settings.target_modules)
    model.requires_grad_(False)
    try:
        wrapped: PeftModel = get_peft_model(model, peft_config(settings, task_type))
    except ValueError as error:
        if "target" not in str(error).lower():
            raise
        raise no_layer_fits(layers, settings.target_modules) from error
    leave_casting_to_autocast(wrapped)
    return wrapped


def load_adapter(model: "PreTrainedModel", folder: Path, trainable: bool = False) -> "PeftModel":
    """The model with the adapter saved in `folder`."""
    from peft import PeftModel

    register_adapters()
    if not (folder / "adapter_config.json").exists():
        raise EngineError(f"{folder} holds no adapter", "adapter_config.json is missing")
    wrapped: PeftModel = PeftModel.from_pretrained(model, folder, is_trainable=trainable)
    leave_casting_to_autocast(wrapped)
    return wrapped


def continue_adapter(model: "PreTrainedModel", folder: Path, task_type: str) -> "PeftModel":
    """The model with a copy of the adapter saved in `folder`, to be trained on for another task.

    A head that the saved adapter doesn't have starts new.
    """
    from peft import PeftConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
    from peft.utils import load_peft_weights

    register_adapters()
    config = PeftConfig.from_pretrained(str(folder))
    config.task_type = task_type
    config.inference_mode = False
    wrapped: PeftModel = get_peft_model(model, config)
    new = get_peft_model_state_dict(wrapped)
    set_peft_model_state_dict(wrapped, {**new, **load_peft_weights(str(folder), device="cpu")})
    leave_casting_to_autocast(wrapped)
    return wrapped


def leave_casting_to_autocast(model: "PeftModel") -> None:
    """Under autocast, don't widen a LoRA layer's input to float32 only for autocast to narrow it again.

    PEFT does so for 4-bit layers itself. DoRA takes a norm of the weights in its input's type: there it stays.
    """
    for module in model.modules():
        if hasattr(module, "cast_input_dtype_enabled") and not getattr(module, "lora_variant", None):
            module._cast_input_dtype = partial(_cast_outside_autocast, module._cast_input_dtype)


def _cast_outside_autocast(cast: Callable[..., Any], x: Any, dtype: Any) -> Any:
    import torch

    return x if x is not None and torch.is_autocast_enabled(x.device.type) else cast(x, dtype)


def linear_layers(model: Any) -> list[str]:
    """Full names of the model's linear layers, GPT-2's and quantised ones among them."""
    import torch
    from transformers.pytorch_utils import Conv1D

    return [name for name, module in model.named_modules() if isinstance(module, (torch.nn.Linear, Conv1D))]
