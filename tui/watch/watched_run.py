"""The runs on screen: each one's state, folded from the facts that the tailer posts."""

from dataclasses import dataclass, field
from typing import Any

from rung.engine.jobs.fold import RunState, apply
from rung.engine.jobs.folder import RunFolder

# What stands where a run's figures will, until its events are read.
READING = "Reading the run …"
LIVE = frozenset({"queued", "running", "stopping"})


@dataclass
class WatchedRun:
    """One run as the screens see it. `folder` is None for a recording, which can only be looked at."""

    id: str
    folder: RunFolder | None
    recipe: dict[str, Any] = field(default_factory=dict)
    state: RunState = field(default_factory=RunState)
    alive: bool | None = None
    out_of_memory: bool = False
    caught_up: bool = False
    log_text: str = ""
    # Counts resumes: what was computed from a curve before one no longer holds after it.
    generation: int = 0

    def fold(self, events: list[dict[str, Any]]) -> None:
        """Take in events in their order."""
        for event in events:
            apply(self.state, event)
            if event.get("type") in {"queued", "started", "resumed"}:
                self.alive = None
            if event.get("type") == "resumed":
                self.generation += 1

    @property
    def status(self) -> str:
        """The state word; `crashed` where the worker is gone without a last event, `reading` before they are read."""
        if not self.caught_up:
            return "reading"
        gone = self.alive is False and not self.state.over
        return "crashed" if gone else self.state.status

    @property
    def live(self) -> bool:
        """Whether something may still come of it."""
        return self.folder is not None and self.status in LIVE

    def elapsed(self, now: float) -> float | None:
        """Seconds of work, without those between a stop and a resume; up to its last sign of life when it is gone."""
        return self.state.seconds_worked(now if self.live else None)

    @property
    def resumable(self) -> bool:
        """Whether `resume` can go on: from the last checkpoint, or from the start where there is none."""
        return self.folder is not None and self.status in {"stopped", "cancelled", "crashed", "failed", "preempted"}

    @property
    def short_id(self) -> str:
        """The id without year and time: 1123-sft-3f2a."""
        parts = self.id.split("-")
        return f"{parts[0][4:]}-{'-'.join(parts[2:])}" if len(parts) >= 4 and len(parts[0]) == 8 else self.id

    @property
    def method(self) -> str:
        """The method's word, from the recipe or the id."""
        return str(self.recipe.get("method") or (self.folder.method if self.folder else ""))

    @property
    def model(self) -> str:
        """The model's name as the recipe has it, without the folders before it."""
        name = str(_block(self.recipe, "model").get("name", ""))
        return name.rstrip("/").rpartition("/")[2]

    @property
    def trained(self) -> str:
        """What is trained: LoRA r16, bottleneck r64, or full."""
        if not self.recipe:
            return ""
        adapter = _block(self.recipe, "adapter")
        if not adapter:
            return "full"
        kind = {"lora": "LoRA", "dora": "DoRA"}.get(str(adapter.get("kind", "")), str(adapter.get("kind", "")))
        four_bit = _block(self.recipe, "model").get("quantization") == "nf4" and kind == "LoRA"
        return f"{'Q' if four_bit else ''}{kind} r{adapter['r']}" if "r" in adapter else kind

    @property
    def label(self) -> str:
        """The user's own words for it: name and tags."""
        tags = self.recipe.get("tags")
        words = [str(self.recipe.get("name") or "")]
        words += [f"#{tag}" for tag in tags] if isinstance(tags, list) else []
        return " ".join(word for word in words if word)

    @property
    def probe_limit(self) -> float | None:
        """How far the probe may worsen, as a fraction, where the recipe sets a limit."""
        limit = _block(self.recipe, "probe").get("limit")
        return float(limit) if isinstance(limit, (int, float)) else None


def _block(recipe: dict[str, Any], name: str) -> dict[str, Any]:
    block = recipe.get(name)
    return block if isinstance(block, dict) else {}
