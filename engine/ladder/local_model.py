"""Local models that answer: one base with its adapters in memory at a time, kept for the next candidate.

Used only inside a worker: imports torch.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.engine.generation.client import Decoding
from rung.engine.generation.within_memory import answer_within_memory
from rung.engine.hub.download import tell_downloads_to
from rung.engine.hub.download_events import DownloadEvents
from rung.engine.jobs.events import Event, Phase
from rung.engine.ladder.spec import CandidateSpec
from rung.engine.models.load import pick_device, resolve_dtype
from rung.engine.recipe.schema import ModelSettings

if TYPE_CHECKING:
    import torch

    from rung.engine.generation.batched import Generated, Request
    from rung.engine.generation.candidates import LoadedCandidates

BASE = "base"


class LocalModels:
    """Loads what a specification names when it is first needed."""

    def __init__(self, root: Path, report: Callable[[Event], None]) -> None:
        self._root, self._report = root, report
        self._loaded: LoadedCandidates | None = None

    def dtype(self, settings: ModelSettings) -> str:
        """The word for the weights' type here, with `auto` resolved."""
        if settings.dtype != "auto":
            return settings.dtype
        return str(resolve_dtype(settings, pick_device())).removeprefix("torch.")

    def open(self, spec: CandidateSpec) -> "OpenModel":
        """The model of a specification, loaded."""
        from rung.engine.generation.candidates import LoadedCandidates

        if self._loaded is None or self._loaded.settings != spec.model:
            self.unload()
            self._report(Phase("load"))
            tell_downloads_to(DownloadEvents(self._report).tell_and_load)
            self._loaded = LoadedCandidates(spec.model, self._root, pick_device())
        label = spec.adapter or BASE
        if label not in self._loaded.labels:
            self._loaded.attach(label, self._root / label)
        return OpenModel(self._loaded, label, self._report)

    def unload(self) -> None:
        """Give the memory back, for example to a training run."""
        if self._loaded is not None:
            self._loaded.unload()
            self._loaded = None


class OpenModel:
    """One candidate's model: its tokenizer, its limits, and answers to batches of prompts."""

    def __init__(self, loaded: "LoadedCandidates", label: str, report: Callable[[Event], None]) -> None:
        self._loaded, self._label, self._report = loaded, label, report
        self.tokenizer: Any = loaded.tokenizer(label)
        self.context = loaded.context(label)
        self.device = loaded.device

    def generate(
        self, requests: "Sequence[Request]", decoding: Decoding, stop_texts: Sequence[str]
    ) -> "list[Generated]":
        """Answers in the order of the requests. A batch that doesn't fit in memory is halved, and that is told."""
        from rung.engine.generation.batched import generate_batch

        model, stops = self._loaded.model(self._label), self._loaded.stop_ids(self._label)

        def answer(batch: "Sequence[Request]") -> "list[Generated]":
            with self._forward() as forward:
                return generate_batch(model, forward, self.tokenizer, batch, decoding, stops, stop_texts)

        return answer_within_memory(answer, requests, self._report)

    def forward(self, ids: "torch.Tensor") -> "torch.Tensor":
        """Logits of token ids [rows, tokens]: [rows, tokens, vocabulary]."""
        with self._forward() as forward:
            logits: torch.Tensor = forward(input_ids=ids, use_cache=False).logits
            return logits

    @contextmanager
    def _forward(self) -> Iterator[Callable[..., Any]]:
        with self._loaded.selected((self._label,)) as forward:
            yield forward
