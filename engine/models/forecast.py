"""How much memory a training run will take: a pure function of the model's shapes and the recipe's settings.

Counted above an idle process (interpreter, imported stack, and on CUDA the context). Formulas: bytes of what PyTorch
keeps for the backward pass of one decoder layer, summed by tensor; AdamW keeps two moments for each trained weight.
"""

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.engine.core.errors import EngineError
from rung.engine.machine.allocator import Heap
from rung.engine.models.logit_batches import peak_bytes
from rung.engine.models.sublayers import count_added, sublayer_ends
from rung.engine.models.targets import named_layers
from rung.engine.recipe.schema import AdapterSettings, Recipe

if TYPE_CHECKING:
    from transformers import PretrainedConfig

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
# NF4: half a byte a weight, and double-quantised scales: one byte a block of 64, one fp32 a block of 256 of those.
NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
_NOT_LINEAR = ("embed", "wte", "wpe", "norm", "lm_head", "ln_")
# Names of feed-forward layers with a gate, whose product of two halves is kept beside both.
_GATED = ("gate_proj", "gate_up_proj", "w3")
# TRL scores tokens in tiles of so many tokens by so many entries of the vocabulary (trl.kernels.chunked_logprob). On a
# GPU one kernel turns a tile into its gradient in place; elsewhere its steps stand beside it.
_TILE = (4096, 32768)
_TILE_COPIES = 9
# On the CPU a heap is larger than what lives in it: tcmalloc's by a share of what a step keeps, the C library's more:
# an aligned block that was freed can't be taken by one of the same size (glibc 2.36), so that short-lived tensors
# between kept ones leave holes, about as many as the layers with an adapter put out. Measured on runs of 9 to 97
# million weights; the C library's differs by a tenth from run to run.
_TCMALLOC = (60 << 20, 0.09)
_GLIBC = (40 << 20, 0.24)
_GLIBC_OUTPUTS, _GLIBC_OUTPUTS_BOTTLENECK = 1.05, 2.2


@dataclass(frozen=True)
class ModelShape:
    """What of a model decides its memory. `linear`: (name, inputs, outputs) of each layer that all-linear takes.

    `square_heads`: heads of an attention that keeps its whole matrix of scores; 0 for one that doesn't.
    """

    parameters: int
    linear: tuple[tuple[str, int, int], ...]
    hidden_size: int
    intermediate_size: int
    num_layers: int
    key_value_width: int
    vocab_size: int
    query_width: int = 0
    square_heads: int = 0

    @property
    def linear_parameters(self) -> int:
        """Weights in the linear layers, those that quantisation shrinks."""
        return sum(inputs * outputs for _, inputs, outputs in self.linear)

    @property
    def names(self) -> list[str]:
        """The linear layers' full names."""
        return [name.removesuffix(".weight") for name, _, _ in self.linear]


def shape_of_folder(folder: Path) -> ModelShape:
    """The shape of a local model, from config.json and the headers of its safetensors files; no tensor is read."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config = config.get("text_config", config)
    tensors = {name: shape for file in sorted(folder.glob("*.safetensors")) for name, shape in _header(file).items()}
    # GPT-2's weights lie with their inputs first.
    turned = config.get("model_type") == "gpt2"
    linear = tuple(
        (name, *(shape if turned else reversed(shape)))
        for name, shape in tensors.items()
        if len(shape) == 2 and name.endswith(".weight") and not any(part in name for part in _NOT_LINEAR)
    )
    return _shape(config, sum(_product(shape) for shape in tensors.values()), linear)


def shape_of_config(config: "PretrainedConfig") -> ModelShape:
    """The shape of a model from its configuration alone: built on the meta device, where no weight is stored."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.pytorch_utils import Conv1D

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    head = model.get_output_embeddings()
    linear: list[tuple[str, int, int]] = []
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and module is not head:
            linear.append((f"{name}.weight", module.in_features, module.out_features))
        elif isinstance(module, Conv1D):
            linear.append((f"{name}.weight", module.nx, module.nf))
    plain = config.get_text_config().to_dict()
    return _shape(plain, sum(weight.numel() for weight in model.parameters()), tuple(linear))


def _shape(config: dict[str, Any], parameters: int, linear: tuple[tuple[str, int, int], ...]) -> ModelShape:
    heads = int(config.get("num_attention_heads") or config.get("n_head") or 1)
    hidden = int(config.get("hidden_size") or config.get("n_embd") or 0)
    head_width = int(config.get("head_dim") or hidden // heads)
    # A cap on the scores, or dropout of them, is computed on the whole matrix.
    square = config.get("attn_logit_softcapping") or config.get("attn_pdrop") or config.get("attention_dropout")
    return ModelShape(
        parameters=parameters,
        linear=linear,
        hidden_size=hidden,
        intermediate_size=int(config.get("intermediate_size") or config.get("n_inner") or 4 * hidden),
        num_layers=int(config.get("num_hidden_layers") or config.get("n_layer") or 0),
        key_value_width=int(config.get("num_key_value_heads") or heads) * head_width,
        vocab_size=int(config.get("vocab_size") or 0),
        query_width=heads * head_width,
        square_heads=heads if square else 0,
    )


def forecast_memory(
    shape: ModelShape, recipe: Recipe, longest: int, dtype: str, on_gpu: bool = False, heap: Heap = "glibc"
) -> dict[str, int]:
    """Bytes by part at the peak of a step whose rows have `longest` tokens. `dtype` is what the layers compute in, and
    the type of frozen weights.

    `heap`: the allocator that a worker on the CPU has (rung.engine.machine.allocator).
    Raises EngineError for an adapter whose layers the model doesn't have.
    """
    length = min(longest, recipe.data.max_length)
    rows = recipe.training.per_device_train_batch_size * _rows_at_once(recipe)
    trained = trained_parameters(shape, recipe)
    size = BYTES[dtype]
    held = 4 if recipe.adapter is not None else BYTES[_held(recipe, dtype)]
    activations = _activations(shape, recipe, rows * length, length, size, on_gpu)
    logits = _logits(shape, recipe, rows * length, size, on_gpu)
    gradients = trained * held
    if recipe.training.gradient_accumulation_steps == 1:
        # A layer's gradients come as its activations go; only what is more than those adds to the peak.
        gradients = max(0, gradients - activations - logits) if recipe.adapter is None else gradients
    step = gradients + activations + logits
    probe = _probe(shape, recipe, size)
    return {
        "weights": round(_weight_bytes(shape, recipe, dtype)),
        "adapter": 0 if recipe.adapter is None else trained * 4,
        "gradients": gradients,
        "optimizer": trained * 2 * held,
        "activations": activations,
        # Where all weights are trained, the policy as it was stands beside the one that moves.
        "reference": round(_weight_bytes(shape, recipe, dtype)) if _has_reference(recipe) else 0,
        "logits": logits,
        # The forgetting meter reads where no gradient and no activation is held; what it takes more than those counts.
        "probe": max(0, probe - step),
        "allocator": 0 if on_gpu else _heap(shape, recipe, rows * length, max(activations + logits, probe), heap),
    }


def checkpoint_bytes(saved: int, optimizer: int, keep: int | None, num_saves: int) -> int:
    """Bytes on disk for a run's checkpoints (weights and optimizer of each) and its artifact (the weights).

    `keep` are the newest that stay (None: all); the best stays beside them, and one is being written.
    """
    count = num_saves if keep is None else min(num_saves, keep + 2)
    return count * (saved + optimizer) + saved


def _rows_at_once(recipe: Recipe) -> int:
    """Sequences a row becomes: a pair's two answers are read side by side."""
    return 2 if recipe.method in ("dpo", "orpo", "reward", "constitution") else 1


def _probe(shape: ModelShape, recipe: Recipe, size: int) -> int:
    if recipe.probe.source is None or recipe.method == "reward":
        return 0
    return peak_bytes(shape.vocab_size, size)


def _has_reference(recipe: Recipe) -> bool:
    if recipe.adapter is not None or recipe.method not in ("dpo", "constitution", "kto", "grpo", "rloo"):
        return False
    block = recipe.method_block()
    if recipe.method == "grpo":
        return bool(block.get("beta", 0.0)) or bool(block.get("measure_kl"))
    return not block.get("precompute_ref_log_probs", False)


def trained_parameters(shape: ModelShape, recipe: Recipe) -> int:
    """How many weights a recipe trains. Raises EngineError for target_modules that the model doesn't have."""
    adapter = recipe.adapter
    if adapter is None:
        return shape.parameters
    if adapter.kind == "bottleneck":
        return sum(count_added(outputs, adapter.r) for _, outputs in _behind(shape, adapter))
    chosen = _adapted(shape, adapter)
    magnitudes = sum(outputs for _, outputs in chosen) if adapter.kind == "dora" else 0
    return sum(adapter.r * (inputs + outputs) for inputs, outputs in chosen) + magnitudes


def _adapted(shape: ModelShape, adapter: AdapterSettings) -> list[tuple[int, int]]:
    """(inputs, outputs) of each layer that has a LoRA beside it."""
    if adapter.target_modules == "all-linear":
        return [(inputs, outputs) for _, inputs, outputs in shape.linear]
    chosen = set(named_layers(shape.names, adapter.target_modules))
    sizes = zip(shape.names, shape.linear, strict=True)
    return [(inputs, outputs) for name, (_, inputs, outputs) in sizes if name in chosen]


def _behind(shape: ModelShape, adapter: AdapterSettings) -> list[tuple[int, int]]:
    """(inputs, outputs) of each layer that has a bottleneck behind it."""
    targets = adapter.target_modules
    ends = sublayer_ends(shape.names, adapter.placement) if targets == "all-linear" else targets
    chosen = set(named_layers(shape.names, ends))
    sizes = zip(shape.names, shape.linear, strict=True)
    return [(inputs, outputs) for name, (_, inputs, outputs) in sizes if name in chosen]


def _weight_bytes(shape: ModelShape, recipe: Recipe, dtype: str) -> float:
    if recipe.model.quantization == "none":
        held = BYTES[_held(recipe, dtype)]
        # Under autocast the linear layers' weights stand once more, in what the layers compute in, until the backward.
        cast = shape.linear_parameters * BYTES[dtype] if held > BYTES[dtype] else 0
        return shape.parameters * held + cast
    rest = (shape.parameters - shape.linear_parameters) * BYTES[dtype]
    return rest + shape.linear_parameters * (NF4_BYTES if recipe.model.quantization == "nf4" else 1.0)


def _held(recipe: Recipe, dtype: str) -> str:
    """The type of the weights where every one is trained: float32, unless another is asked for by name."""
    return "float32" if recipe.adapter is None and recipe.model.dtype == "auto" else dtype


def _activations(shape: ModelShape, recipe: Recipe, tokens: int, length: int, size: int, on_gpu: bool) -> int:
    """What the layers keep for the backward pass, or with checkpointing their inputs and one layer's inside."""
    layers = max(1, shape.num_layers)
    kept = _kept_by_layer(shape, recipe, length, size)
    added = _kept_by_adapter(shape, recipe, size, on_gpu) / layers
    # Gradients of the widest tensors while the last layer goes back, and a quantised layer's weights in full.
    working = 3 * max(shape.intermediate_size, shape.hidden_size) * size * tokens
    whole = recipe.model.quantization != "none" or size < 4
    if recipe.adapter is not None and recipe.adapter.kind == "dora" and whole:
        # DoRA multiplies by the layer's weights again, copied to its input's type, and keeps that copy; on the way
        # the widest layer's stand in float32 a few times, for the norm.
        copies = sum(inputs * outputs for inputs, outputs in _adapted(shape, recipe.adapter)) * size
        working += copies // layers if recipe.training.gradient_checkpointing else copies
        working += 4 * 4 * max((inputs * outputs for _, inputs, outputs in shape.linear), default=0)
    if recipe.model.quantization != "none":
        working += max((inputs * outputs for _, inputs, outputs in shape.linear), default=0) * size
    if recipe.training.gradient_checkpointing:
        return round(tokens * (layers * shape.hidden_size * size + kept + added) + working)
    # Below the first adapter nothing is trained, so nothing is kept: with one behind feed-forward that is a layer.
    deep = layers - 1 if recipe.adapter is not None and recipe.adapter.kind == "bottleneck" else layers
    return round(tokens * (deep * kept + layers * added) + working)


def _kept_by_layer(shape: ModelShape, recipe: Recipe, length: int, size: int) -> float:
    """Bytes a token that one layer keeps itself: what its norms, attention and feed-forward need again."""
    hidden, inner = shape.hidden_size, shape.intermediate_size
    queries = shape.query_width or hidden
    gated = any(name.rpartition(".")[2] in _GATED for name in shape.names)
    # The norms' inputs in float32; queries, keys, values and the attention's output; gate, up and the activation.
    kept = 2 * hidden * 4 + (2 * queries + 2 * shape.key_value_width) * size + (3 if gated else 4) * inner * size
    if shape.square_heads or recipe.model.attention == "eager":
        heads = shape.square_heads or max(1, queries // 64)
        kept += 3 * heads * length * size
    if recipe.adapter is None:
        # Trained norms keep what they normalised; trained layers keep their inputs.
        kept += 2 * hidden * size + 2 * hidden * size + inner * size
    elif recipe.adapter.kind != "bottleneck" and recipe.adapter.lora_dropout == 0:
        kept += 2 * hidden * size + inner * size
    return kept


def _kept_by_adapter(shape: ModelShape, recipe: Recipe, size: int, on_gpu: bool) -> int:
    """Bytes a token that all the adapters keep: their dropped-out inputs with the noise, and what lies between."""
    adapter = recipe.adapter
    if adapter is None:
        return 0
    # The noise of dropout is a number of its own on the CPU, a bit in a byte on a GPU.
    noise = (1 if on_gpu else 4) if adapter.lora_dropout > 0 else 0
    if adapter.kind == "bottleneck":
        return sum(outputs * size + adapter.r * (4 + 4 + noise) for _, outputs in _behind(shape, adapter))
    chosen = _adapted(shape, adapter)
    total = sum(adapter.r * 4 for _ in chosen)
    if noise:
        # The dropped-out input is kept in the type that it is multiplied in.
        total += sum(inputs * (size + noise) for inputs, _ in chosen)
    if adapter.kind == "dora":
        total += sum(2 * outputs * size for _, outputs in chosen)
    return total


def _heap(shape: ModelShape, recipe: Recipe, tokens: int, kept: int, heap: Heap) -> int:
    """Bytes of holes in the heap."""
    if heap == "tcmalloc":
        return round(_TCMALLOC[0] + _TCMALLOC[1] * kept)
    adapter = recipe.adapter
    outputs = 0.0
    if adapter is not None:
        bottleneck = adapter.kind == "bottleneck"
        chosen = _behind(shape, adapter) if bottleneck else _adapted(shape, adapter)
        outputs = sum(width for _, width in chosen) * 4 * tokens
        outputs *= _GLIBC_OUTPUTS_BOTTLENECK if bottleneck else _GLIBC_OUTPUTS
        if recipe.training.gradient_checkpointing:
            outputs /= max(1, shape.num_layers)
    return round(_GLIBC[0] + _GLIBC[1] * kept + outputs)


def _logits(shape: ModelShape, recipe: Recipe, tokens: int, size: int, on_gpu: bool) -> int:
    if recipe.method == "reward":
        return 0
    if recipe.method == "orpo":
        # Logits in the weights' type, their fp32 copy for the softmax, and its gradient.
        return tokens * shape.vocab_size * (size + 4 + 4)
    # Of a tile that is wider than the vocabulary the rest is never touched, but a GPU's memory is taken all the same.
    tile = min(tokens, _TILE[0]) * (_TILE[1] if on_gpu else min(shape.vocab_size, _TILE[1]))
    head = shape.vocab_size * shape.hidden_size * 4 if recipe.adapter is None else 0
    return tile * (size if on_gpu else size * _TILE_COPIES) + tokens * shape.hidden_size * 4 + head


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
