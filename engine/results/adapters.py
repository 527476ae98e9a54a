"""What the project's runs have trained, by base model: kind, rank, size, score, what it forgot, where it came from.

Reads recipes, events, adapter configurations and the scoreboard as plain values: nothing of the training stack.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json
from rung.engine.jobs.folder import RunFolder, find_run, list_runs
from rung.engine.jobs.reader import read_run
from rung.engine.ladder.board import read_board
from rung.engine.ladder.board_file import BOARD_FILE
from rung.engine.ladder.training_cost import perplexity_growth
from rung.engine.results.comparison import base_model, read_recipe
from rung.engine.training.probe.forgot import forgot

COMBINED_FILE = "combined.json"
"""In the folder of a combination: {"how": …, "of": [{"run": ID, "weight": w}, …]}."""


@dataclass(frozen=True)
class Standing:
    """How a result scored on the held-out rows, from the scoreboard; `leaked` where it learned from some of them."""

    candidate: str
    label: str
    metric: str
    score: float
    low: float
    high: float
    n: int
    leaked: str | None = None


@dataclass(frozen=True)
class TrainedAdapter:
    """What one run left: an adapter, or a model tuned in full (kind `full`).

    `chosen` says which checkpoint it is and by what it was chosen. `forgetting` is the relative growth of the probe's
    perplexity over this run alone (0.02 = 2 %), `forgot` all that the probe says of it (training/probe/forgot.py).
    `start_from` are the runs it went on from, the nearest first; `combined` the runs and weights it is the sum of.
    `trouble` says what could not be read.
    """

    run: str
    path: str
    base: str
    revision: str | None = None
    method: str = ""
    kind: str = ""
    rank: int | None = None
    quantization: str = "none"
    bytes: int = 0
    chosen: str = ""
    forgetting: float | None = None
    kl: float | None = None
    forgot: dict[str, Any] | None = None
    start_from: list[str] = field(default_factory=list)
    combined: list[dict[str, Any]] = field(default_factory=list)
    standing: Standing | None = None
    name: str | None = None
    tags: list[str] = field(default_factory=list)
    trouble: str = ""

    @property
    def in_words(self) -> str:
        """LoRA r16, QLoRA r16, DoRA r8, bottleneck r64, or full."""
        words = {"lora": "LoRA", "dora": "DoRA"}.get(self.kind, self.kind)
        quantised = "Q" if self.kind == "lora" and self.quantization == "nf4" else ""
        return f"{quantised}{words}" + (f" r{self.rank}" if self.rank is not None else "")

    def to_json(self) -> dict[str, Any]:
        """Plain values; the standing's figures stand beside the others, null where nothing was measured."""
        value = asdict(self)
        standing = value.pop("standing") or dict.fromkeys(Standing.__dataclass_fields__)
        return value | standing


def list_adapters(root: Path) -> list[TrainedAdapter]:
    """All that the project's runs have left, by base, then by age. Raises EngineError for a damaged scoreboard."""
    rows = read_board(root)["scoreboard"] if (root / BOARD_FILE).exists() else []
    found = [read_adapter(folder, root, rows) for folder in list_runs(root) if folder.artifact() is not None]
    return sorted(found, key=lambda adapter: (adapter.base, adapter.revision or "", adapter.run))


def read_adapter(folder: RunFolder, root: Path, rows: Sequence[Mapping[str, Any]] = ()) -> TrainedAdapter:
    """What a run left; `rows` are the scoreboard's. Raises EngineError for a run without a result."""
    artifact = result_of(folder)
    known: dict[str, Any] = {"run": folder.id, "path": str(artifact), "method": folder.method, "base": "unknown"}
    known |= {"bytes": _bytes_of(artifact), "standing": _standing(folder.id, rows)}
    try:
        known |= _kind(artifact) | _from_recipe(folder, root) | _from_events(folder)
    except EngineError as error:
        known["trouble"] = error.message
    return TrainedAdapter(**known)


def result_of(folder: RunFolder) -> Path:
    """The adapter/ or model/ of a run. Raises EngineError where it has none yet."""
    artifact = folder.artifact()
    if artifact is None:
        raise EngineError(
            f"The run {folder.id} has no result yet", "only finished runs have one", "rung resume goes on with it"
        )
    return artifact


def chain_of(folder: RunFolder, root: Path) -> list[RunFolder]:
    """The runs that a run went on from, the nearest first. Raises EngineError where one of them is gone."""
    chain: list[RunFolder] = []
    while (start := str(read_recipe(folder).get("start_from") or "")).startswith("run:"):
        folder = find_run(root, start.removeprefix("run:"))
        if folder in chain:
            raise EngineError(f"{folder.id} starts from itself")
        chain.append(folder)
    return chain


def base_name(model: Mapping[str, Any], root: Path) -> str:
    """What lists call a base model: a hub id, a folder as the recipe has it, or the run that tuned it in full."""
    path = Path(str(model.get("name", "")))
    if path.name == "model" and path.parent.parent == (root / "runs").resolve():
        return f"model of {path.parent.name}"
    return str(model.get("name", ""))


def read_combined(folder: RunFolder) -> dict[str, Any]:
    """How a combination was made, and of what; {} for a run that was trained."""
    path = folder.path / COMBINED_FILE
    value: dict[str, Any] = read_json(path) if path.exists() else {}
    return value


def _kind(artifact: Path) -> dict[str, Any]:
    if artifact.name == "model":
        return {"kind": "full"}
    config = read_json(artifact / "adapter_config.json")
    kind = "dora" if config.get("use_dora") else str(config.get("peft_type", "")).lower()
    return {"kind": kind, "rank": config.get("r")}


def _from_recipe(folder: RunFolder, root: Path) -> dict[str, Any]:
    recipe = read_recipe(folder)
    base = dict(recipe.get("model") or {})
    known: dict[str, Any] = {
        "quantization": str(base.get("quantization") or "none"),
        "name": recipe.get("name"),
        "tags": [str(tag) for tag in recipe.get("tags") or []],
        "combined": list(read_combined(folder).get("of", [])),
    }
    try:
        base = base_model(folder, recipe, root)
        known["start_from"] = [run.id for run in chain_of(folder, root)]
    except EngineError as error:
        known["trouble"] = f"what it started from is gone: {error.message}"
    return known | {"base": base_name(base, root), "revision": base.get("revision")}


def _from_events(folder: RunFolder) -> dict[str, Any]:
    result = read_run(folder)[0].result
    return {
        "chosen": str(result.get("chosen_checkpoint") or ""),
        "forgetting": perplexity_growth(result),
        "kl": (result.get("forgetting") or {}).get("kl"),
        "forgot": forgot(result),
    }


def _standing(run: str, rows: Sequence[Mapping[str, Any]]) -> Standing | None:
    """Of the ways in which a run's result was asked, the one that stands for its rung, else the best."""
    own = [row for row in rows if row.get("run") == run]
    if not own:
        return None
    best = max(own, key=lambda row: (bool(row.get("chosen")), float(row["score"])))
    return Standing(**{name: best[name] for name in Standing.__dataclass_fields__ if name in best})


def _bytes_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
