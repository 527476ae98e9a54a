"""The models that answer in Compare: one base with adapters on and off, and full fine-tunes beside it.

Used only inside a worker: imports torch.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rung.engine.core.errors import EngineError
from rung.engine.data.encode import stop_ids
from rung.engine.generation.free_memory import OVERHEAD_BYTES, free_bytes, model_bytes
from rung.engine.models.fingerprint import (
    BaseCheck,
    compare_logits,
    fingerprint,
    fixed_prompt,
    largest_difference,
)
from rung.engine.models.load import context_length, load_model, load_tokenizer, resolve_dtype
from rung.engine.models.weights import Weights, attach_adapter, read_weights
from rung.engine.recipe.schema import ModelSettings

BASE = "base"
Forward = Callable[..., Any]
"""Takes token ids [rows, tokens] and what Transformers' forward takes; row i answers as the i-th selected label."""


@dataclass(frozen=True)
class _Limits:
    context: int | None
    stop_ids: frozenset[int]


class LoadedCandidates:
    """One base model, its adapters and the full fine-tunes compared with it, by label; the base's is `base`.

    Models that don't fit together take turns in memory (`one_at_a_time`); what was unloaded is loaded again on demand.
    """

    def __init__(self, settings: ModelSettings, root: Path, device: str) -> None:
        self.settings, self.root, self.device = settings, root, device
        self.one_at_a_time = False
        self._weights: dict[str, Weights] = {}
        self._models: dict[str, Any] = {}
        self._tokenizers: dict[str, Any] = {BASE: load_tokenizer(settings, root)}
        self._limits: dict[str, _Limits] = {}
        self._mixable = False
        self._model(BASE)
        self._plain = self._fixed_logits((BASE,))[0]

    @property
    def labels(self) -> list[str]:
        """All candidates, the base first."""
        return [BASE, *self._weights]

    @property
    def paths(self) -> dict[str, Path]:
        """Where each candidate but the base lies."""
        return {label: weights.path for label, weights in self._weights.items()}

    def attach(self, label: str, path: Path) -> None:
        """Add an adapter or a full fine-tune under `label`. Raises EngineError when it doesn't fit this base."""
        if label in self.labels:
            raise EngineError(f"Two candidates are called {label!r}", hint="give each a label of its own")
        self._weights[label] = read_weights(path)
        try:
            if not self._shares_base(label):
                self._load_beside(label)
            elif BASE in self._models:
                self._attach_to(BASE, label)
            else:
                self._model(BASE)
        except EngineError:
            del self._weights[label]
            raise
        self._mixable = self._mixed_batch_is_right()

    def groups(self, labels: Sequence[str]) -> list[tuple[str, ...]]:
        """The labels that one forward pass can answer together: a mixed batch where it was seen to be right."""
        unknown = [label for label in labels if label not in self.labels]
        if unknown:
            raise EngineError(f"No candidate is called {unknown[0]!r}", f"loaded: {', '.join(self.labels)}")
        on_base = tuple(label for label in labels if self._shares_base(label))
        alone: list[tuple[str, ...]] = [(label,) for label in labels if not self._shares_base(label)]
        if self._mixable and on_base:
            return [on_base, *alone]
        return [*((label,) for label in on_base), *alone]

    def tokenizer(self, label: str) -> Any:
        """The candidate's tokenizer: the base's, or a full fine-tune's own."""
        return self._tokenizers.get(label, self._tokenizers[BASE])

    def stop_ids(self, label: str) -> frozenset[int]:
        """Token ids that end an answer: the tokenizer's end token and all that the generation configuration names."""
        return self._limits[BASE if self._shares_base(label) else label].stop_ids

    def context(self, label: str) -> int | None:
        """Positions the candidate's model was made for; None when it doesn't say."""
        return self._limits[BASE if self._shares_base(label) else label].context

    def model(self, label: str) -> Any:
        """The model in memory that answers for `label`."""
        return self._model(BASE if self._shares_base(label) else label)

    @contextmanager
    def selected(self, labels: tuple[str, ...]) -> Iterator[Forward]:
        """A forward function whose row i answers as `labels[i]`; the labels are one of `groups`."""
        model = self.model(labels[0])
        if not self._shares_base(labels[0]) or not self._adapters:
            yield model
        elif len(labels) > 1:
            names = ["__base__" if label == BASE else self._adapter_name(label) for label in labels]
            yield lambda *arguments, **options: model(*arguments, adapter_names=names, **options)
        elif labels[0] == BASE:
            with model.disable_adapter():
                yield model
        else:
            model.set_adapter(self._adapter_name(labels[0]))
            yield model

    def fingerprint(self, label: str) -> str:
        """The fingerprint of one candidate, computed alone."""
        return fingerprint(self._fixed_logits((label,))[0])

    def check_base(self) -> BaseCheck:
        """Compare the base as it answers now with the plain base, on every path that Compare uses."""
        pairs = [(self._plain, self._fixed_logits((BASE,))[0])]
        if self._mixable and self._adapters:
            together = (BASE, *self._adapters)
            alone = self._fixed_logits((BASE,), rows=len(together))[0]
            pairs.append((alone, self._fixed_logits(together)[0]))
        return compare_logits(pairs, resolve_dtype(self.settings, self.device), self.device)

    def unload(self) -> None:
        """Give the memory back."""
        self._models.clear()
        gc.collect()
        if self.device != "cpu":
            torch.cuda.empty_cache()

    @property
    def _adapters(self) -> list[str]:
        return [label for label in self._weights if self._shares_base(label)]

    def _shares_base(self, label: str) -> bool:
        """Whether the candidate is the base with an adapter on or off. PEFT takes one kind of adapter a model."""
        if label == BASE:
            return True
        weights = self._weights[label]
        kinds = [other.method for other in self._weights.values() if other.kind == "adapter"]
        return weights.kind == "adapter" and weights.method == kinds[0]

    def _adapter_name(self, label: str) -> str:
        # Labels may hold dots, which module names can't.
        return f"candidate_{list(self._weights).index(label)}"

    def _model(self, label: str) -> Any:
        if label not in self._models:
            if self.one_at_a_time:
                self.unload()
            model = self._models[label] = self._load(label)
            self._limits[label] = _Limits(context_length(model.config), _stop_ids(model, self.tokenizer(label)))
        return self._models[label]

    def _load(self, label: str) -> Any:
        weights = self._weights.get(label)
        if weights is not None and weights.kind == "model":
            return load_model(self._settings_of(weights), self.root, self.device)
        self._models[label] = load_model(self.settings, self.root, self.device)
        for adapter in self._adapters if label == BASE else [label]:
            self._attach_to(label, adapter)
        return self._models[label]

    def _attach_to(self, label: str, adapter: str) -> None:
        try:
            model = attach_adapter(self._models[label], self._weights[adapter].path, self._adapter_name(adapter))
        except EngineError:
            # Layers may have been put in half-way: the next use loads the model from its files again.
            del self._models[label]
            raise
        self._models[label] = model.eval()

    def _load_beside(self, label: str) -> None:
        weights = self._weights[label]
        settings = self._settings_of(weights) if weights.kind == "model" else self.settings
        dtype_name = str(resolve_dtype(settings, self.device)).removeprefix("torch.")
        needed = model_bytes(settings, self.root, dtype_name) or 0
        if needed + OVERHEAD_BYTES > free_bytes(self.device):
            self.one_at_a_time = True
        if weights.kind == "model" and (weights.path / "tokenizer_config.json").exists():
            self._tokenizers[label] = load_tokenizer(settings, self.root)
        self._model(label)

    def _settings_of(self, weights: Weights) -> ModelSettings:
        return self.settings.model_copy(update={"name": str(weights.path), "revision": None})

    @torch.inference_mode()
    def _fixed_logits(self, labels: tuple[str, ...], rows: int | None = None) -> torch.Tensor:
        """Logits after the fixed prompt, float32 on the CPU, shape [rows, vocabulary]."""
        with self.selected(labels) as forward:
            prompt = fixed_prompt(self.tokenizer(labels[0]), self.device, self.context(labels[0]))
            prompt = prompt.repeat(rows or len(labels), 1)
            logits: torch.Tensor = forward(prompt, use_cache=False).logits[:, -1]
        return logits.float().cpu()

    def _mixed_batch_is_right(self) -> bool:
        """Whether a mixed batch gives each adapter's own logits: PEFT can't mix some kinds, or mixes them wrongly."""
        adapters = self._adapters
        if not adapters or not all(self._weights[label].mixable for label in adapters):
            return False
        together = (BASE, *adapters)
        try:
            mixed = self._fixed_logits(together)
        except (ValueError, NotImplementedError):
            # PEFT leaves its hooks on the layers then: the next use loads the model from its files again.
            del self._models[BASE]
            return False
        dtype = resolve_dtype(self.settings, self.device)
        # Mixed batches add the adapters' part in smaller blocks, so the last bits may differ.
        allowed = 8 * float(torch.finfo(dtype).eps) * float(mixed.abs().max())
        alone = [self._fixed_logits((label,), rows=len(together))[0] for label in together]
        return all(largest_difference(own, row) <= allowed for own, row in zip(alone, mixed, strict=True))


def _stop_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    configured = model.generation_config.eos_token_id if model.generation_config is not None else None
    own = configured if isinstance(configured, list) else [] if configured is None else [configured]
    return frozenset(stop_ids(tokenizer, own))
