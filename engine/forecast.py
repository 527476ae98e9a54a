"""How much memory a training run will take: a pure function of the model's shapes and the recipe's settings.

Counted above an idle process (interpreter, imported stack, and on CUDA the context). Formulas: bytes of what PyTorch
keeps for the backward pass of one decoder layer, summed by tensor; AdamW keeps two moments for each trained weight.
"""

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.adapters.sublayers import count_added, sublayer_ends
from engine.errors import EngineError
from engine.recipe.schema import AdapterSettings, Recipe

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
# NF4: half a byte a weight, and double-quantised scales: one byte a block of 64, one fp32 a block of 256 of those.
NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
_NOT_LINEAR = ("embed", "wte", "wpe", "norm", "lm_head", "ln_")


@dataclass(frozen=True)
class ModelShape:
    """What of a model decides its memory. `linear`: (name, inputs, outputs) of each layer that all-linear takes."""

    parameters: int
    linear: tuple[tuple[str, int, int], ...]
    hidden_size: int
    intermediate_size: int
    num_layers: int
    key_value_width: int
    vocab_size: int

    @property
    def linear_parameters(self) -> int:
        """Weights in the linear layers, those that quantisation shrinks."""
        return sum(inputs * outputs for _, inputs, outputs in self.linear)


def shape_of_folder(folder: Path) -> ModelShape:
    """The shape of a local model, from config.json and the headers of its safetensors files; no tensor is read."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config = config.get("text_config", config)
    tensors = {name: shape for file in sorted(folder.glob("*.safetensors")) for name, shape in _header(file).items()}
    linear = tuple(
        (name, shape[1], shape[0])
        for name, shape in tensors.items()
        if len(shape) == 2 and name.endswith(".weight") and not any(part in name for part in _NOT_LINEAR)
    )
    heads = int(config.get("num_attention_heads") or config.get("n_head") or 1)
    hidden = int(config.get("hidden_size") or config.get("n_embd") or 0)
    head_width = int(config.get("head_dim") or hidden // heads)
    return ModelShape(
        parameters=sum(_product(shape) for shape in tensors.values()),
        linear=linear,
        hidden_size=hidden,
        intermediate_size=int(config.get("intermediate_size") or config.get("n_inner") or 4 * hidden),
        num_layers=int(config.get("num_hidden_layers") or config.get("n_layer") or 0),
        key_value_width=int(config.get("num_key_value_heads") or heads) * head_width,
        vocab_size=int(config.get("vocab_size") or 0),
    )


def forecast_memory(shape: ModelShape, recipe: Recipe, longest: int, dtype: str) -> dict[str, int]:
    """Bytes by part at the peak of a step whose rows have `longest` tokens. `dtype` is the resolved weights' type."""
    batch = recipe.training.per_device_train_batch_size
    trained = trained_parameters(shape, recipe)
    tokens = batch * _rows_at_once(recipe) * min(longest, recipe.data.max_length)
    autocast = BYTES[dtype] if recipe.model.quantization == "none" else 2
    activations = _activations(shape, recipe, tokens, autocast)
    return {
        "weights": round(_weight_bytes(shape, recipe, dtype)),
        "adapter": 0 if recipe.adapter is None else trained * 4,
        "gradients": trained * (4 if recipe.adapter is not None else BYTES[dtype]),
        "optimizer": trained * 2 * (4 if recipe.adapter is not None else BYTES[dtype]),
        "activations": activations,
        # Where all weights are trained, the policy as it was stands beside the one that moves.
        "reference": round(_weight_bytes(shape, recipe, dtype)) if _has_reference(recipe) else 0,
        # Logits in the weights' type, their fp32 copy for the softmax, and its gradient.
        "logits": tokens * shape.vocab_size * (autocast + 4 + 4),
    }


def _rows_at_once(recipe: Recipe) -> int:
    """Sequences a row becomes: a pair's two answers are read side by side."""
    return 2 if recipe.method in ("dpo", "orpo", "reward") else 1


def _has_reference(recipe: Recipe) -> bool:
    if recipe.adapter is not None or recipe.method not in ("dpo", "kto", "grpo", "rloo"):
        return False
    block = recipe.method_block()
    if recipe.method == "grpo":
        return bool(block.get("beta", 0.0)) or bool(block.get("measure_kl"))
    return not block.get("precompute_ref_log_probs", False)


def trained_parameters(shape: ModelShape, recipe: Recipe) -> int:
    """How many weights a recipe trains."""
    adapter = recipe.adapter
    if adapter is None:
        return shape.parameters
    targets = adapter.target_modules
    if adapter.kind == "bottleneck":
        return _bottleneck_parameters(shape, adapter)
    chosen = [
        (inputs, outputs)
        for name, inputs, outputs in shape.linear
        if targets == "all-linear" or name.split(".")[-2] in ([targets] if isinstance(targets, str) else targets)
    ]
    magnitudes = sum(outputs for _, outputs in chosen) if adapter.kind == "dora" else 0
    return sum(adapter.r * (inputs + outputs) for inputs, outputs in chosen) + magnitudes


def _bottleneck_parameters(shape: ModelShape, adapter: AdapterSettings) -> int:
    names = [name.removesuffix(".weight") for name, _, _ in shape.linear]
    given = adapter.target_modules
    if given == "all-linear":
        endings = sublayer_ends(names, adapter.placement)
    else:
        endings = [given] if isinstance(given, str) else given
    behind = sum(name.endswith(tuple(f".{ending}" for ending in endings)) for name in names)
    return behind * count_added(shape.hidden_size, adapter.r)


def _weight_bytes(shape: ModelShape, recipe: Recipe, dtype: str) -> float:
    if recipe.model.quantization == "none":
        return shape.parameters * BYTES[dtype]
    rest = (shape.parameters - shape.linear_parameters) * BYTES[dtype]
    return rest + shape.linear_parameters * (NF4_BYTES if recipe.model.quantization == "nf4" else 1.0)


def _activations(shape: ModelShape, recipe: Recipe, tokens: int, size: int) -> int:
    hidden, inner, kv = shape.hidden_size, shape.intermediate_size, shape.key_value_width
    # Norm inputs in fp32 twice, query/key/value with their rotated copies, the attention's output; gate, up, their
    # activation and product.
    layer = 2 * hidden * 4 + (4 * hidden + 4 * kv) * size + 4 * inner * size
    if recipe.adapter is not None and recipe.adapter.lora_dropout > 0:
        # Each adapted layer keeps its dropped-out input and the mask.
        layer += sum(inputs * (size + 1) for _, inputs, _ in shape.linear) // max(1, shape.num_layers)
    if recipe.training.gradient_checkpointing:
        return int(tokens * (shape.num_layers * hidden * size + layer))
    return int(tokens * shape.num_layers * layer)


def _header(file: Path) -> dict[str, list[int]]:
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            entries: dict[str, Any] = json.loads(stream.read(length))
    except (struct.error, ValueError) as error:
        raise EngineError(f"{file} is not a safetensors file", str(error), "copy or download the model again") from None
    return {name: entry["shape"] for name, entry in entries.items() if name != "__metadata__"}


def _product(shape: list[int]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total
