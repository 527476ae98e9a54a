"""The generation worker as the Compare screen sees it: what is loaded, which prompt is being answered."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from textual.message import Message

from rung.engine.core.errors import EngineError
from rung.engine.generation.client import Decoding, GenerationClient, Lineup
from rung.engine.jobs.folder import RunFolder, find_run
from rung.engine.jobs.stack import LacksStack
from rung.engine.results.comparison import Pinned, Prompt, lineup_of, newest_trained, pinned_prompts, read_recipe
from rung.tui.text.phases import phase_words

BASE = "base"


class WorkerSaid(Message):
    """The generation worker sent something."""

    def __init__(self, said: dict[str, Any]) -> None:
        self.said = said
        super().__init__()


@dataclass(frozen=True)
class Setting:
    """What is compared: runs by label, the line-up they make, prompts to try, the interpreter they need.

    `steps` names the checkpoint that stands in for a run that isn't finished, by label.
    """

    runs: dict[str, RunFolder]
    lineup: Lineup
    pinned: Pinned
    python: str | None
    steps: dict[str, str] = field(default_factory=dict)

    @property
    def model_name(self) -> str:
        """The base model's name, without the way to its folder."""
        name = str(self.lineup.model.get("name", ""))
        return Path(name).name if name.startswith((".", "/", "~")) else name

    def title(self, label: str) -> str:
        """What stands above a candidate's answers."""
        return f"{label} · {self.steps[label]}" if label in self.steps else label

    def identity(self, label: str) -> str:
        """What preferences call a candidate: the run's whole id, or base."""
        return self.runs[label].id if label in self.runs else BASE


@dataclass
class Round:
    """One prompt: which candidate stands in which pane, who still answers, whether it was judged."""

    prompt: Prompt
    order: list[str]
    blind: bool
    decoding: Decoding
    request: int = -1
    open: set[str] = field(default_factory=set)
    judged: bool = False

    @property
    def complete(self) -> bool:
        """Whether every candidate has answered."""
        return self.request >= 0 and not self.open


def find_setting(root: Path, run: str | None) -> Setting | None:
    """The run named, or the newest that has something to show, beside its base; None when there is none."""
    folder = find_run(root, run) if run is not None else newest_trained(root)
    return None if folder is None else make_setting(root, [folder])


def make_setting(root: Path, folders: list[RunFolder]) -> Setting:
    """These runs beside their base. Raises EngineError when they can't be compared."""
    recipe = read_recipe(folders[0])
    lineup = lineup_of(folders, root)
    runs = dict(zip(lineup.adapters, folders, strict=True))
    names = {label: Path(path).name for label, path in lineup.adapters.items()}
    steps = {label: name for label, name in names.items() if name not in ("adapter", "model")}
    return Setting(runs, lineup, pinned_prompts(recipe, root), recipe.get("worker_python"), steps)


class Bench:
    """Loads, asks and cancels; a prompt sent before the model is there waits for it."""

    def __init__(self, log: Path, post: Callable[[Message], object]) -> None:
        self.ready: dict[str, Any] | None = None
        self.loading = False
        self.state = ""
        self.round: Round | None = None
        self._waiting = False
        self._log, self._post = log, post
        self._client: GenerationClient | None = None
        self._load: Callable[[], object] = lambda: None
        self._model_name = ""

    def start_loading(self, setting: Setting, python: str | None, idle_minutes: float) -> Callable[[], object]:
        """Note that the line-up is being loaded, and give the call that does it, for a background thread."""
        if self._client is None:
            self._client = GenerationClient(setting.python or python, self._log, self._hear)
        client = self._client
        self.ready, self.loading = None, True
        self._model_name = setting.model_name
        self.state = f"loading {self._model_name} …"

        def load() -> None:
            try:
                client.load(setting.lineup, idle_minutes=idle_minutes or None)
            except EngineError as error:
                self._hear({"type": "error", "id": None, "worker_ended": True} | vars(error))
                if isinstance(error, LacksStack):
                    self._client = None  # It was not started; the next may be one of another interpreter.
                    raise

        self._load = load
        return load

    def ask(self, round_: Round) -> None:
        """Answer this prompt, at once or as soon as the model is there."""
        self.round = round_
        if self.loading or self.ready is None:
            self._waiting = True
        else:
            self._send()

    def reload(self) -> Callable[[], object]:
        """As `start_loading`, once more, after a failure."""
        self.loading, self.state = True, "loading again …"
        return self._load

    def cancel(self) -> None:
        """End the answers that are coming."""
        self._waiting = False
        if self._client is not None and self.round is not None and self.round.open:
            self._client.cancel(self.round.request)

    def close(self) -> None:
        """Let the worker end; doesn't wait for it."""
        if self._client is not None:
            self._client.close(wait=False)

    @property
    def failed(self) -> bool:
        """Whether nothing is loaded and nothing is on its way."""
        return self.ready is None and not self.loading

    def take(self, said: dict[str, Any]) -> EngineError | None:
        """Fold a message; gives the error that it tells, if it does."""
        kind = said["type"]
        if kind == "ready":
            self.ready, self.loading, self.state = said, False, f"{said['device']} · loaded in {said['seconds']:.1f} s"
            if self._waiting:
                self._send()
        elif kind == "done" and self.round is not None and said["id"] == self.round.request:
            self.round.open.discard(said["candidate"])
            if "base_matches_plain" in said and self.ready is not None:
                self.ready = _proved_again(self.ready, said)
        elif kind == "phase" and self.loading:
            self.state = phase_words(said, self._model_name)
        elif kind == "unloaded":
            self.state = "unloaded while idle; the next prompt loads it again"
        elif kind == "error":
            self._take_error(said)
            return EngineError(said["message"], said.get("details", ""), said.get("hint", ""))
        return None

    def _take_error(self, said: dict[str, Any]) -> None:
        if self.round is not None and (said.get("worker_ended") or said["id"] == self.round.request):
            self.round.open.clear()
        if said.get("worker_ended"):
            self.ready, self.loading, self._waiting, self.state = None, False, False, "the worker ended"
        elif self.loading:
            self.loading, self._waiting, self.state = False, False, "the model could not be loaded"

    def _send(self) -> None:
        self._waiting = False
        assert self._client is not None and self.round is not None
        current = self.round
        current.open = set(current.order)
        current.request = self._client.generate(current.order, current.prompt.messages, current.decoding)

    def _hear(self, said: dict[str, Any]) -> None:
        try:
            self._post(WorkerSaid(said))
        except RuntimeError:
            # The app's loop is closed: nobody is left to hear it.
            return


def _proved_again(ready: dict[str, Any], done: dict[str, Any]) -> dict[str, Any]:
    """What is known of the base, with the check that followed its newest answer."""
    proof = {key: done[key] for key in ("base_matches_plain", "max_logit_difference") if key in done}
    return ready | proof | {"fingerprints": ready["fingerprints"] | {BASE: done["fingerprint"]}}
