"""Texts to vectors with an embedding model that the user names; torch is imported only then.

One way of computing them whatever else is installed, so that the same files always give the same vectors: the
transformer, then the pooling that the model's own `1_Pooling/config.json` says (mean where it says nothing), then
length one. Query and document prefixes come from `config_sentence_transformers.json` unless the settings give them.
"""

import json
from pathlib import Path
from typing import Any, Literal

from rung.engine.core.errors import EngineError
from rung.engine.core.files import canonical_json, sha256_file, sha256_text
from rung.engine.hub.cache import cached_model
from rung.engine.retrieval.settings import RetrievalSettings

Pooling = Literal["mean", "cls", "last"]
WANTED_FILES = ["*.json", "*.safetensors", "*.model", "vocab.txt", "merges.txt"]
MODULES = {"Transformer", "Pooling", "Normalize"}
MAX_TOKENS = 512  # where the tokenizer has no limit of its own


def load_embedder(settings: RetrievalSettings) -> "EmbeddingModel | None":
    """The model that the settings name, or None where they search by words only."""
    if settings.kind == "bm25" or settings.embedding_model is None:
        return None
    return EmbeddingModel(settings.embedding_model, settings.query_prefix, settings.document_prefix)


class EmbeddingModel:
    """A loaded model. `identity` is a hash of its files, `dimension` the length of its vectors."""

    def __init__(self, name: str, query_prefix: str | None = None, document_prefix: str | None = None) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        folder = _model_folder(name)
        _refuse_unknown_modules(folder, name)
        self.pooling = _pooling(folder)
        prompts = _read(folder / "config_sentence_transformers.json").get("prompts") or {}
        self.query_prefix = prompts.get("query", "") if query_prefix is None else query_prefix
        own = prompts.get("document", prompts.get("passage", ""))
        self.document_prefix = own if document_prefix is None else document_prefix
        self.identity = _identity(folder)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder)
            model = AutoModel.from_pretrained(folder, use_safetensors=True, dtype=torch.float32)
        except (OSError, ValueError) as error:
            raise EngineError(
                f"The embedding model {name} can't be loaded",
                str(error),
                "It must be a Transformers model with its tokenizer and weights in safetensors.",
            ) from error
        self._model = model.eval().to(self._device)
        self.dimension = int(model.config.hidden_size)
        own_limit = getattr(model.config, "max_position_embeddings", MAX_TOKENS)
        self._max_tokens = min(self._tokenizer.model_max_length, own_limit, 8192)

    def embed_documents(self, texts: list[str], batch_size: int = 32) -> Any:
        """float32 array [len(texts), dimension] of unit vectors."""
        return self._embed([self.document_prefix + text for text in texts], batch_size)

    def embed_queries(self, texts: list[str], batch_size: int = 32) -> Any:
        """float32 array [len(texts), dimension] of unit vectors."""
        return self._embed([self.query_prefix + text for text in texts], batch_size)

    def _embed(self, texts: list[str], batch_size: int) -> Any:
        import numpy as np

        # Neighbours of equal length make batches with little padding.
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            vectors[batch] = self._embed_batch([texts[index] for index in batch])
        return vectors

    def _embed_batch(self, texts: list[str]) -> Any:
        import torch

        inputs = self._tokenizer(texts, padding=True, truncation=True, max_length=self._max_tokens, return_tensors="pt")
        if inputs["input_ids"].shape[1] == 0:  # texts of signs that this tokenizer drops
            return torch.zeros(len(texts), self.dimension).numpy()
        inputs = inputs.to(self._device)
        with torch.inference_mode():
            states = self._model(**inputs).last_hidden_state
        mask = inputs["attention_mask"]
        if self.pooling == "mean":
            weights = mask.unsqueeze(-1).to(states.dtype)
            pooled = (states * weights).sum(1) / weights.sum(1).clamp(min=1)
        elif self.pooling == "cls":
            pooled = states[:, 0]
        else:
            positions = torch.arange(mask.shape[1], device=mask.device) * mask
            pooled = states[torch.arange(len(texts), device=mask.device), positions.argmax(1)]
        return torch.nn.functional.normalize(pooled, dim=-1).cpu().numpy()


def _model_folder(name: str) -> Path:
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    from rung.engine.hub.download import complete_model

    here = cached_model(name)
    if here is not None and _tells_its_pooling(here):
        return here
    try:
        return complete_model(name)
    except EngineError:
        if here is None:
            raise
        return here  # Without a network: what lies here is all there is to go by.


def _tells_its_pooling(folder: Path) -> bool:
    """Whether nothing is missing that says how vectors are made; what loaded it as a plain model left that out."""
    modules = _read(folder / "modules.json")
    pools = any(entry["type"].rsplit(".", 1)[-1] == "Pooling" for entry in modules)
    return bool(modules) and (not pools or (folder / "1_Pooling" / "config.json").exists())


def _refuse_unknown_modules(folder: Path, name: str) -> None:
    modules = _read(folder / "modules.json")
    unknown = [entry["type"] for entry in modules if entry["type"].rsplit(".", 1)[-1] not in MODULES] if modules else []
    if unknown:
        raise EngineError(
            f"The embedding model {name} has layers that are not supported here",
            f"modules.json names {', '.join(unknown)}",
            "Choose a model of transformer, pooling and normalisation only; most are.",
        )


def _pooling(folder: Path) -> Pooling:
    config = _read(folder / "1_Pooling" / "config.json")
    if config.get("pooling_mode_cls_token"):
        return "cls"
    return "last" if config.get("pooling_mode_lasttoken") else "mean"


def _identity(folder: Path) -> str:
    files = sorted(path for pattern in WANTED_FILES for path in folder.glob(pattern))
    return sha256_text(canonical_json([[path.name, sha256_file(path)] for path in files]))


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise EngineError(f"{path} is not valid JSON", str(error)) from error
