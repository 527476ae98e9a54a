"""What the wizard's pages show: the project as its files have it, and what this sitting has tried and asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.content import Content

from rung.engine.core.errors import EngineError
from rung.tui.text.glyphs import UNICODE, Glyphs
from rung.tui.text.words import score

if TYPE_CHECKING:
    from rung.engine.guide.model_choices import ModelChoice, Room
    from rung.engine.guide.wizard import Page, WizardState
    from rung.engine.guide.wizard_steps import Step
    from rung.engine.hub.fetch import Download
    from rung.engine.ladder.project_facts import Facts
    from rung.engine.ladder.spec import Rung
    from rung.engine.metrics.spec import MetricSpec
    from rung.engine.project.follow import Advised
    from rung.engine.project.schema import ProjectSettings
    from rung.engine.recipe.schema import Recipe


@dataclass(frozen=True)
class TrialRow:
    """One validation row that the prompt is tried on; `answer` is None until it is there."""

    line: int
    question: str
    reference: str
    answer: str | None = None


@dataclass(frozen=True)
class Machine:
    """What doesn't change while the wizard is open: memory, the models at hand, the metrics without options."""

    room: "Room"
    choices: "list[ModelChoice]"
    list_date: str
    plain_metrics: list[str]
    cache: str = ""
    cache_free: int = 0


@dataclass(frozen=True)
class WizardView:
    """Everything the pages show. The first block is read from disk, the second is this sitting's."""

    project: "ProjectSettings"
    state: "WizardState"
    facts: "Facts"
    recipe: "Recipe | None"
    recipe_fault: str
    model: "ModelChoice | None"
    machine: Machine
    download: "Download | None" = None
    metric: "MetricSpec | None" = None
    steps: "Mapping[Page, Step]" = field(default_factory=dict)
    advised: "Mapping[str, Advised]" = field(default_factory=dict)

    marks: Glyphs = UNICODE
    report: Mapping[str, Any] | None = None
    checking: bool = False
    gate: Mapping[str, Any] | None = None
    gating: bool = False
    hits: Mapping[str, Any] | None = None
    asking: bool = False
    asking_now: str = ""
    trial: list[TrialRow] = field(default_factory=list)
    trying: str = ""

    @property
    def room(self) -> "Room":
        """The memory that is free here."""
        return self.machine.room

    @property
    def choices(self) -> "list[ModelChoice]":
        """The models to choose from."""
        return self.machine.choices

    @property
    def list_date(self) -> str:
        """When the list of models was made."""
        return self.machine.list_date

    @property
    def plain_metrics(self) -> list[str]:
        """Metrics that need no options."""
        return self.machine.plain_metrics

    def standing(self, rung: "Rung") -> Content:
        """The rung's best candidate on the held-out rows, or that it is not measured."""
        rows = [row for row in self.facts.board.get("scoreboard") or [] if row["rung"] == rung]
        if not rows:
            return Content.styled("not measured on the held-out rows yet", "$muted")
        row = next((each for each in rows if each.get("chosen")), rows[0])
        said = f"{score(row['score'])} [{score(row['low'])}, {score(row['high'])}] on {row['n']} held-out rows"
        return Content.assemble(("measured  ", "$muted"), (said, "bold"), f"  {row['label']}")


def look_at_machine(root: Path) -> Machine:
    """Memory and models as they are now; for a background thread."""
    from rung.engine.guide.doctor import disk, model_cache
    from rung.engine.guide.model_choices import listed_models, model_choices, room_here
    from rung.engine.metrics.kinds import METRICS

    room, cache = room_here(), model_cache().path
    plain = [name for name, kind in METRICS.items() if not kind.required and name != "judge"]
    free = disk("model cache", Path(cache)).free
    return Machine(room, model_choices(root, room), listed_models(room)[0], plain, cache, free)


def read_view(root: Path, state: "WizardState", machine: Machine | None) -> WizardView:
    """The view as the files have it; for a background thread. Raises EngineError where there is no project."""
    from rung.engine.guide.model_choices import describe_model
    from rung.engine.guide.wizard_steps import wizard_steps
    from rung.engine.hub.fetch import download_of
    from rung.engine.ladder.project_facts import gather_facts
    from rung.engine.models.load import model_source
    from rung.engine.project.follow import advised_for
    from rung.engine.project.load import load_project

    project = load_project(root)
    known = machine or look_at_machine(root)
    recipe, fault = _recipe(root, project)
    model: ModelChoice | None = None
    download, model_fault = None, ""
    named = project.model
    try:
        model = describe_model(named.name, root, known.room, revision=named.revision)
        if model_source(named.name, root) == named.name:
            download = download_of(named.name, named.revision)
    except EngineError as error:
        model_fault = str(error)
    fits = model.fits(known.room) if model is not None else {}
    facts = gather_facts(root, project, fits, state.retrieval)
    values = advised_for(recipe, root) if recipe is not None else {}
    metric = _metric(project, root)
    steps = wizard_steps(root, project, facts, fault, model_fault or _what_lacks(named.name, model, download))
    return WizardView(
        project, state, facts, recipe, fault or model_fault, model, known, download, metric, steps, values
    )  # fmt: skip


def _what_lacks(name: str, model: "ModelChoice | None", download: "Download | None") -> str:
    """What the model lacks to be used, in words; "" where it is here."""
    if download is not None and not download.whole:
        return f"{name} is being fetched" if download.going else f"{name} is not on this machine: f fetches it"
    return "" if model is not None and model.parameters is not None else f"{name}: its files can't be read"


def _metric(project: "ProjectSettings", root: Path) -> "MetricSpec | None":
    """The metric that decides; None where it has a fault."""
    from rung.engine.metrics.parse import parse_metric

    try:
        return parse_metric(project.metrics[0], root)
    except EngineError:
        return None


def _recipe(root: Path, project: "ProjectSettings") -> "tuple[Recipe | None, str]":
    from rung.engine.project.follow import load_fitted

    path = root / project.tune.recipe
    if not path.exists():
        made = f"{project.tune.recipe} is not there: the recommended recipe is written when the rung is measured."
        return None, made
    try:
        return load_fitted(path), ""
    except EngineError as error:
        return None, f"{error.message}\n{error.details}"
