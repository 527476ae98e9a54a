"""The prompt tried on a few validation rows by a generation worker that keeps the model loaded."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from textual.message import Message

from rung.engine.core.errors import EngineError
from rung.engine.core.state_folder import state_folder
from rung.engine.generation.client import Decoding, GenerationClient, Lineup
from rung.engine.jobs.stack import LacksStack
from rung.tui.text.phases import phase_words
from rung.tui.wizard.view import TrialRow

ROWS = 4


class TrialSaid(Message):
    """The generation worker sent something."""

    def __init__(self, said: dict[str, Any]) -> None:
        self.said = said
        super().__init__()


@dataclass(frozen=True)
class Trial:
    """Prompts to answer, the rows they come from, the model, and how answers are generated."""

    rows: list[TrialRow]
    prompts: list[list[dict[str, Any]]]
    lineup: Lineup
    decoding: Decoding


def prepare_trial(root: Path) -> Trial:
    """The first validation rows under rung.yaml's prompt, with its fixed examples; for a background thread."""
    from rung.engine.ladder.examples import load_split
    from rung.engine.ladder.few_shot import make_pool
    from rung.engine.ladder.prompts import build_messages
    from rung.engine.ladder.spec import base_spec
    from rung.engine.project.load import load_project

    project = load_project(root)
    examples = load_split(root, project, "validation").examples[:ROWS]
    shots = []
    if project.few_shot.k and project.data.train is not None:
        shots = make_pool(load_split(root, project, "train").examples, project.data.label).fixed(project.few_shot)
    spec = base_spec(project)
    chosen = project.decoding
    return Trial(
        [TrialRow(example.line, example.question, example.reference) for example in examples],
        [build_messages(spec, example, shots).messages for example in examples],
        Lineup(project.model.model_dump(), root),
        Decoding(chosen.max_new_tokens, chosen.temperature, chosen.top_p, chosen.seed),
    )


class TrialBench:
    """The worker and the rows it answers. Its messages come through `post`, from a thread of the client's."""

    def __init__(self, post: Callable[[Message], object]) -> None:
        self._post = post
        self._client: GenerationClient | None = None
        self._requests: dict[int, int] = {}
        self.rows: list[TrialRow] = []
        self.state = ""

    def _pass_on(self, said: dict[str, Any]) -> None:
        self._post(TrialSaid(said))

    def start(self, trial: Trial, python: str | None, idle_minutes: float) -> None:
        """Load the model, starting the worker where there is none, and ask; for a background thread."""
        if self._client is None:
            log = state_folder() / f"wizard-{os.getpid()}.log"
            self._client = GenerationClient(python, log, self._pass_on)
        self.rows = list(trial.rows)
        try:
            self._client.load(trial.lineup, idle_minutes=idle_minutes)
        except LacksStack:
            self._client = None  # It was not started; the next may be one of another interpreter.
            raise
        self._requests = {
            self._client.generate(["base"], prompt, trial.decoding): number
            for number, prompt in enumerate(trial.prompts)
        }

    def take(self, said: dict[str, Any]) -> EngineError | None:
        """Fold one message in; gives what went wrong where something did."""
        if said["type"] == "error":
            self.state = ""
            return EngineError(said["message"], said.get("details", ""), said.get("hint", ""))
        if said["type"] == "phase":
            self.state = phase_words(said, "the model")
        if said["type"] == "ready":
            self.state = "answering …"
        number = self._requests.get(int(said["id"])) if said.get("id") is not None else None
        if said["type"] == "done" and number is not None:
            limit = " (token limit)" if said["stop_reason"] == "length" else ""
            self.rows[number] = replace(self.rows[number], answer=said["text"] + limit)
            if all(row.answer is not None for row in self.rows):
                self.state = ""
        return None

    def close(self) -> None:
        """End the worker, without waiting for it."""
        if self._client is not None:
            self._client.close(wait=False)
