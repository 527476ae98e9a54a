"""A candidate's identity: the content of everything that decides its answers, and nothing of where it lies."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.core.files import canonical_json, read_json, sha256_text, write_text_atomic
from rung.engine.hub.cache import cached_model
from rung.engine.ladder.spec import CandidateSpec
from rung.engine.models.load import model_source, read_template
from rung.engine.models.weights_hash import adapter_identity, tokenizer_hash, weights_hash
from rung.engine.project.schema import EndpointModel

# Raised when the way prompts are put together or answers are generated changes what comes out.
GENERATION = "batched 1"


@dataclass(frozen=True)
class Candidate:
    """What decides the answers, as plain values; `id` is the first 12 hex of the sha256 of their canonical JSON."""

    identity: dict[str, Any]

    @property
    def id(self) -> str:
        """The candidate's name in files."""
        return sha256_text(canonical_json(self.identity))[:12]

    def write(self, root: Path) -> None:
        """Write candidates/ID.json: the canonical JSON itself, so that the file's hash is the id."""
        path = candidate_path(root, self.id)
        if not path.exists():
            write_text_atomic(path, canonical_json(self.identity))


def candidate_path(root: Path, candidate: str) -> Path:
    """Where a candidate's identity lies."""
    return root / "candidates" / f"{candidate}.json"


def read_candidate(root: Path, candidate: str) -> Candidate:
    """The candidate of this id. Raises EngineError where there is none, or its file was changed."""
    path = candidate_path(root, candidate)
    found = Candidate(read_json(path))
    if found.id != candidate:
        raise EngineError(f"{path} was changed", "its hash is not its name", "delete it and evaluate again")
    return found


def identify(
    spec: CandidateSpec,
    root: Path,
    *,
    dtype: str,
    few_shot: dict[str, Any],
    retriever: dict[str, Any] | None,
    endpoint: EndpointModel | None = None,
) -> Candidate:
    """The identity of a specification.

    `dtype` is the weights' type with `auto` resolved, `few_shot` what the pool says of the examples, `retriever` the
    index's own identity.
    """
    shared = {
        "prompt": {"system": spec.system_prompt, "template": spec.prompt_template},
        "few_shot": few_shot,
        "retrieval": _retrieval(spec, retriever),
        "decoding": spec.decoding.model_dump(),
    }
    if endpoint is not None:
        return Candidate({"model": {"endpoint": endpoint.url, "name": endpoint.model}, "engine": "endpoint", **shared})
    adapter = adapter_identity(root / spec.adapter) if spec.adapter is not None else None
    return Candidate(
        {
            **_model(spec, root),
            "adapter": adapter,
            "template_args": spec.model.template_args,
            "engine": f"transformers {_version('transformers')}, {GENERATION}",
            "dtype": dtype,
            "quantization": spec.model.quantization,
            **shared,
        }
    )


def _model(spec: CandidateSpec, root: Path) -> dict[str, Any]:
    source = model_source(spec.model.name, root)
    named = spec.model.chat_template
    template = sha256_text(read_template(named, root)) if named is not None else None
    folder = Path(source)
    if folder.is_dir():
        model, tokenizer = {"weights": weights_hash(folder)}, tokenizer_hash(folder)
    else:
        commit = _hub_commit(source, spec.model.revision)
        model, tokenizer = {"hub": source, "commit": commit}, commit
    return {"model": model, "tokenizer": tokenizer, "template": template}


def _hub_commit(name: str, revision: str | None) -> str:
    """The commit that a hub id means here: the one in the cache where it lies there, else the hub's."""
    cached = cached_model(name, revision)
    if cached is not None:
        return cached.name
    from transformers import AutoConfig

    try:
        commit = AutoConfig.from_pretrained(name, revision=revision)._commit_hash
    except (OSError, ValueError) as error:
        raise EngineError(
            f"The model {name} can't be read", str(error).splitlines()[0], "rung doctor shows the cache and the network"
        ) from error
    return str(commit)


def _retrieval(spec: CandidateSpec, retriever: dict[str, Any] | None) -> dict[str, Any] | None:
    if retriever is None:
        return None
    gold = {"gold_only": True} if spec.gold_only else {}
    return {**retriever, "frame": spec.rag_prompt.frame, "chunk": spec.rag_prompt.chunk, **gold}


def _version(package: str) -> str:
    try:
        return ".".join(version(package).split(".")[:2])
    except PackageNotFoundError:
        return "absent"
