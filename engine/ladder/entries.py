"""How each candidate is run here, and what the scoreboard calls it: candidates/ID.spec.json beside its identity."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json, write_json_atomic
from rung.engine.ladder.spec import CandidateSpec, Rung

_SUFFIX = ".spec.json"


@dataclass(frozen=True)
class Entry:
    """A candidate of the scoreboard. `chosen`: it stands for its rung, by its score on the validation rows."""

    candidate: str
    spec: CandidateSpec
    label: str
    chosen: bool
    added: float

    @property
    def rung(self) -> Rung:
        """The rung it stands on."""
        return self.spec.rung


def write_entry(root: Path, candidate: str, spec: CandidateSpec, label: str, *, chosen: bool = False) -> Entry:
    """Put a candidate on the scoreboard, or update what is known of it. A chosen one takes its rung's place."""
    earlier = {entry.candidate: entry for entry in read_entries(root)}
    if chosen:
        for other in earlier.values():
            if other.chosen and other.rung == spec.rung and other.candidate != candidate:
                _write(root, other, chosen=False)
    added = earlier[candidate].added if candidate in earlier else time.time()
    entry = Entry(candidate, spec, label, chosen, added)
    _write(root, entry, chosen=chosen)
    return entry


def read_entries(root: Path) -> list[Entry]:
    """All candidates of the scoreboard, oldest first."""
    files = (root / "candidates").glob(f"*{_SUFFIX}")
    return sorted((_read(file) for file in files), key=lambda entry: (entry.added, entry.candidate))


def find_entry(root: Path, wanted: str) -> Entry:
    """The candidate with this id, or unique beginning of one. Raises EngineError."""
    entries = read_entries(root)
    found = [entry for entry in entries if entry.candidate.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    known = ", ".join(entry.candidate for entry in entries) or "none"
    raise EngineError(
        f"{len(found) or 'No'} candidates are called {wanted}", f"known: {known}", "rung scoreboard lists them"
    )


def _write(root: Path, entry: Entry, *, chosen: bool) -> None:
    value = {"label": entry.label, "chosen": chosen, "added": entry.added, "spec": entry.spec.model_dump()}
    write_json_atomic(root / "candidates" / f"{entry.candidate}{_SUFFIX}", value)


def _read(file: Path) -> Entry:
    value: dict[str, Any] = read_json(file)
    spec = CandidateSpec.model_validate(value["spec"])
    return Entry(file.name.removesuffix(_SUFFIX), spec, value["label"], value["chosen"], value["added"])
