"""An adapter made part of its base's weights, and the proof that the merged model answers as the two together did."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.engine.core.errors import EngineError
from rung.engine.generation.free_memory import free_bytes, model_bytes
from rung.engine.jobs.folder import RunFolder
from rung.engine.models.attach import load_adapter
from rung.engine.models.fingerprint import fixed_prompt, largest_difference
from rung.engine.models.load import context_length, load_model, load_scorer, load_tokenizer, model_source
from rung.engine.models.merging import refuse_unmergeable
from rung.engine.recipe.schema import ModelSettings, Recipe
from rung.engine.results.adapters import result_of
from rung.engine.results.exports import refuse_without_space
from rung.engine.training.methods import method_of
from rung.engine.training.model import base_settings

if TYPE_CHECKING:
    import torch

# Merging happens where it disturbs no training job, and where the largest models have room.
DEVICE = "cpu"
# How far the merged logits may be from those of base and adapter, as a share of the largest logit: the sum of weights
# is rounded to the dtype once more, and that adds up over the layers.
TOLERANCE = {"float32": 1e-3, "float16": 2e-2, "bfloat16": 1e-1}


def merge_into(
    partial: Path, folder: RunFolder, recipe: Recipe, root: Path, dtype: str, said: Callable[[str], None]
) -> dict[str, Any]:
    """Save the run's base with its adapter merged into `partial`, as safetensors. Raises EngineError.

    Gives {"dtype", "largest_difference", "largest_logit", "notes"}. An adapter that was trained over quantised weights
    is merged into the unquantised base.
    """
    adapter = result_of(folder)
    refuse_unmergeable(adapter)
    settings = unquantised_base(recipe, root, dtype)
    needed = model_bytes(settings, root, settings.dtype)
    refuse_without_space(partial, needed or 0)
    refuse_without_memory(needed)
    said(f"loading the base {settings.name}")
    scores = method_of(recipe.method).task == "SEQ_CLS"
    base = load_scorer(settings, root, DEVICE) if scores else load_model(settings, root, DEVICE)
    refuse_without_space(partial, sum(value.numel() * value.element_size() for value in base.parameters()))
    model = load_adapter(base, adapter).eval()
    prompt = fixed_prompt(load_tokenizer(settings, root), DEVICE, context_length(model.config))
    before = _logits(model, prompt)
    said("merging")
    _untie_if_one_side_is_adapted(model)
    try:
        merged = model.merge_and_unload(safe_merge=True)
    except ValueError as error:
        raise EngineError(f"{adapter} can't be merged", str(error), "its weights are broken: train it again") from error
    difference, largest = largest_difference(before, _logits(merged, prompt)), float(before.abs().max())
    if difference > TOLERANCE[settings.dtype] * largest:
        raise EngineError(
            "The merged model doesn't answer as base and adapter do",
            f"logits differ by up to {difference:.3g}, the largest is {largest:.3g}",
            "--dtype float32 rounds least; or export the adapter beside its base",
        )
    said("saving the merged model")
    merged.save_pretrained(partial)
    facts = {"dtype": settings.dtype, "largest_difference": difference, "largest_logit": largest}
    return facts | {"notes": _notes(recipe, settings)}


def unquantised_base(recipe: Recipe, root: Path, dtype: str) -> ModelSettings:
    """The model under the run's adapter with whole weights: in `dtype`, or for `auto` as its files have them."""
    # The attention of a GPU's kernels may not run where the merge does; it has no part in the weights.
    base = base_settings(recipe, root).model_copy(update={"quantization": "none", "attention": "auto"})
    return base.model_copy(update={"dtype": _stored_dtype(base, root) if dtype == "auto" else dtype})


def refuse_without_memory(needed: int | None) -> None:
    """Raise EngineError where a model of `needed` bytes (None: unknown) doesn't fit beside what is in memory."""
    free = free_bytes(DEVICE)
    if needed is not None and needed > free:
        raise EngineError(
            "The base doesn't fit into memory",
            f"needs {needed / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free",
            "do it where there is more, or export the adapter beside its base",
        )


def _stored_dtype(base: ModelSettings, root: Path) -> str:
    from transformers import AutoConfig

    source = model_source(base.name, root)
    try:
        config = AutoConfig.from_pretrained(source, revision=base.revision, trust_remote_code=base.trust_remote_code)
    except (OSError, ValueError) as error:
        raise EngineError(
            f"The model {source} can't be read",
            str(error).splitlines()[0],
            "rung doctor shows the cache and the network",
        ) from error
    word = str(config.dtype).removeprefix("torch.")
    return word if word in TOLERANCE else "float32"


def _untie_if_one_side_is_adapted(model: Any) -> None:
    """Give the head weights of its own where they are the embedding's and an adapter changes one of the two."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    inner = model.get_base_model()
    head, embedding = inner.get_output_embeddings(), inner.get_input_embeddings()
    if head is None or not any(isinstance(layer, BaseTunerLayer) for layer in (head, embedding)):
        return
    import torch

    under = getattr(head, "base_layer", head)
    if under.weight is getattr(embedding, "base_layer", embedding).weight:
        under.weight = torch.nn.Parameter(under.weight.detach().clone(), requires_grad=False)
        inner.config.tie_word_embeddings = False


def _logits(model: Any, prompt: "torch.Tensor") -> "torch.Tensor":
    import torch

    with torch.no_grad():
        logits: torch.Tensor = model(prompt).logits
    return logits.float()


def _notes(recipe: Recipe, settings: ModelSettings) -> list[str]:
    notes = []
    if recipe.model.quantization != "none":
        notes.append(
            f"The adapter was trained over {recipe.model.quantization} weights and is merged into the unquantised base "
            f"in {settings.dtype}: its answers differ a little from those that were measured."
        )
    if settings.trust_remote_code:
        notes.append("The base runs Python code of its own, which is not in this folder.")
    return notes
