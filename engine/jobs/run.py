"""A run as a notebook or a script reads it: its state, its curves and its recipe."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rung.engine.core.yaml_text import read_yaml
from rung.engine.jobs.folder import find_run, list_runs
from rung.engine.jobs.reader import EventTail, RunReader


class Run:
    """One run of a project, running or over; it is only read.

    `run` is an id, a unique beginning or end of one, `last`, or the run's folder; `project` the folder with rung.yaml.
    Raises EngineError where no run is called so.
    """

    def __init__(self, run: str | Path = "last", project: str | Path = ".") -> None:
        self._reader = RunReader(find_run(Path(project), str(run)))
        self._reader.catch_up()

    def __repr__(self) -> str:
        return f"Run({self.id!r}, {self.status})"

    @staticmethod
    def all(project: str | Path = ".") -> "list[Run]":
        """Every run of a project, oldest first; one whose recipe is not written yet is none."""
        return [Run(folder.path) for folder in list_runs(Path(project)) if folder.recipe.exists()]

    def refresh(self) -> "Run":
        """Read what has come since; gives the run itself."""
        self._reader.catch_up()
        return self

    @property
    def id(self) -> str:
        """The run id: YYYYMMDD-HHMMSS-METHOD-xxxx."""
        return self._reader.folder.id

    @property
    def path(self) -> Path:
        """The run's folder, absolute."""
        return self._reader.folder.path

    @property
    def status(self) -> str:
        """The state word of `rung runs`: queued, running, finished, stopped, failed, crashed …"""
        return self._reader.status()

    @property
    def recipe(self) -> dict[str, Any]:
        """The resolved recipe. Raises EngineError where its file is damaged."""
        value: dict[str, Any] = read_yaml(self._reader.folder.recipe)[0]
        return value

    @property
    def curves(self) -> list[str]:
        """The names of its curves: loss, learning_rate, evaluation/loss, probe/perplexity …"""
        return sorted(name for name, curve in self._reader.state.curves.items() if len(curve.steps))

    def curve(self, name: str) -> tuple[list[float], list[float]]:
        """Steps and values of one curve, in order; a value that was not finite is NaN. Raises KeyError."""
        curve = self._reader.state.curves[name]
        return list(curve.steps), list(curve.values)

    @property
    def result(self) -> dict[str, Any]:
        """What the run ended with (docs/events.md, `finished`); empty before its end."""
        return dict(self._reader.state.result)

    @property
    def artifact(self) -> Path | None:
        """The folder of the adapter or model that it made, once it is there."""
        return self._reader.folder.artifact()

    def events(self) -> Iterator[dict[str, Any]]:
        """Its events as docs/events.md describes them, oldest first, as far as they are written."""
        tail = EventTail(self._reader.folder.events)
        while events := tail.read():
            yield from events
