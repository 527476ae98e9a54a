"""A new project: rung.yaml, a recipe of the method its rows are for, and the split data, all there or none of it."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.data.read import Problem, read_rows
from engine.data.shapes import detect_shape, rename_columns
from engine.errors import EngineError
from engine.files import is_folder, write_json_lines_atomic
from engine.ladder.examples import read_examples
from engine.ladder.reach import reach_notes
from engine.measure.group_report import GroupsApart
from engine.measure.grouping import is_asked_or_answered
from engine.measure.metrics.recommend import recommended_metric
from engine.measure.partition import NO_GROUPS
from engine.measure.splits import MadeSplits, SplitPlan, freeze_files, make_splits
from engine.project.follow import MAX_LENGTH
from engine.project.load import load_project, save_project
from engine.project.model_facts import ModelFacts, model_facts
from engine.project.recommend import recommended_recipe, write_recipe
from engine.project.schema import ProjectData, ProjectSettings, Situation, TuneSettings, Want
from engine.recipe.schema import DataSettings, Method, ModelSettings
from engine.retrieval.settings import RetrievalSettings

MOST_TOLD = 5
MOST_REFERENCES = 5_000
_METHOD_OF_SHAPE: dict[str, Method] = {"preference": "dpo", "hh": "dpo", "kto": "kto", "text": "cpt"}


@dataclass(frozen=True)
class NewProject:
    """Where the project lies, its recipe's file in it, and what its maker should know.

    `rows` is the size of each split; `groups` which rows were kept together, null without rows.
    """

    root: Path
    recipe: str
    notes: list[str]
    warnings: list[str] = field(default_factory=list)
    rows: Mapping[str, int] = field(default_factory=dict)
    groups: GroupsApart | None = None


def write_new_project(
    directory: Path,
    model: str,
    train: Path | None = None,
    *,
    validation: Path | None = None,
    test: Path | None = None,
    documents: Path | None = None,
    name: str | None = None,
    wants: Sequence[Want] = (),
    task: str = "",
    metrics: Sequence[Any] = (),
    target: float | None = None,
    data: ProjectData | None = None,
    plan: SplitPlan | None = None,
    seed: int = 0,
) -> NewProject:
    """Make a project in `directory`, which must be empty or not there.

    `model` is pocket, a hub id or a folder; `train` a data file, split here by `plan` into training, validation and
    held-out rows, unless `test` (and `validation`) name files of their own; `data` says how rows are read; `documents`
    is a folder to answer from. Paths are taken from the current folder and written relative to the project.
    Raises EngineError.
    """
    root = directory.expanduser().resolve()
    refuse_if_filled(root)
    if documents is not None and not documents.expanduser().exists():
        raise EngineError(f"There are no documents at {documents}", hint="give a file, or a folder of them")
    settings, facts, notes = chosen_model(model, root)
    with whole_or_not_at_all(root) as staging:
        declared, num_rows, made = data or ProjectData(), None, None
        if train is not None:
            files = {"train": train, "validation": validation, "test": test}
            given = {name: path.expanduser().resolve() for name, path in files.items() if path is not None}
            declared, made = _write_rows(staging, root, given, declared, plan or split_plan(declared, seed), notes)
            num_rows = made.record.splits["train"].rows
        rows = DataSettings(
            train=declared.train or "data/train.jsonl", validation=declared.validation, shape=declared.shape,
            columns=declared.columns, max_length=MAX_LENGTH,
        )  # fmt: skip
        method = _method_for(staging, declared)
        recipe = f"recipes/{method}.yaml"
        write_recipe(staging, recommended_recipe(settings, facts, rows, num_rows, method), recipe)
        save_project(
            staging,
            ProjectSettings(
                name=name or root.name,
                situation=Situation(wants=list(wants), task=task),
                model=settings,
                data=declared,
                documents=RetrievalSettings(path=_relative(documents, root)) if documents else None,
                **({"metrics": list(metrics)} if metrics else _fitting_metric(staging, declared, notes)),
                target=target,
                tune=TuneSettings(recipe=recipe),
            ),
        )
    notes += reach_notes(root, load_project(root))
    if train is None:
        notes.append(f"no rows yet: name them under data: in rung.yaml and in {recipe}")
    if made is None:
        return NewProject(root, recipe, notes)
    sizes = {name: split.rows for name, split in made.record.splits.items()}
    return NewProject(root, recipe, notes, made.warnings, sizes, made.groups)


def split_plan(declared: ProjectData, seed: int = 0) -> SplitPlan:
    """How rung.yaml's `data` wants rows divided. `group_by: none` keeps no groups together."""
    none = declared.group_by == NO_GROUPS
    return SplitPlan(
        seed=seed,
        group_by=None if none else declared.group_by,
        find_groups=not none,
        time_by=declared.time_by,
        label=declared.label,
    )


def split_into(
    project_dir: Path, rows: Sequence[Any], declared: ProjectData, plan: SplitPlan, sources: Mapping[str, Path]
) -> MadeSplits:
    """`make_splits` with what `declared` says of the columns: none that is asked or answered makes a group."""
    answers = [column for wanted, column in declared.columns.items() if is_asked_or_answered(wanted)]
    passages = [declared.gold] if declared.gold is not None else []
    return make_splits(project_dir, rows, plan, sources, answers, passages)


def _fitting_metric(staging: Path, declared: ProjectData, notes: list[str]) -> dict[str, Any]:
    """The metric that fits the training rows' answers, for rung.yaml, and why among the notes; {} without answers."""
    if declared.train is None:
        return {}
    try:
        examples = read_examples(staging / declared.train, declared).examples[:MOST_REFERENCES]
    except EngineError:
        return {}  # Running text has no answers; of rows that can't be used rung check says why.
    found = recommended_metric([example.reference for example in examples])
    if found is None:
        return {}
    metric, why = found
    notes.append(f"metric {metric if isinstance(metric, str) else metric['name']}: {why} (--metric names another)")
    return {"metrics": [metric]}


def _method_for(staging: Path, declared: ProjectData) -> Method:
    """The method that the shape of the training rows asks for; where it is not to be told, supervised fine-tuning."""
    if declared.train is None:
        return "sft"
    shape: str = declared.shape
    if shape == "auto":
        try:
            shape = detect_shape(rename_columns(read_rows(staging / declared.train)[0], declared.columns))
        except EngineError:
            return "sft"  # rung check, and the wizard's data page, say what the rows lack
    return _METHOD_OF_SHAPE.get(shape, "sft")


def chosen_model(model: str, root: Path) -> tuple[ModelSettings, ModelFacts, list[str]]:
    """The model as the project in `root` names it, what its files say, and what the user should know of it.

    `model` is seen from the current folder. A model without a chat template gets the built-in `plain`.
    """
    settings = ModelSettings(name=_model_name(model, root))
    facts = model_facts(settings.name, root)
    if facts.has_chat_template is False:
        settings = settings.model_copy(update={"chat_template": "plain"})
    return settings, facts, _notes_on(facts, settings.name)


@contextmanager
def whole_or_not_at_all(root: Path) -> Iterator[Path]:
    """A folder to write into, which becomes `root` (empty or not there) in one step when all went well."""
    root.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{root.name}.", dir=root.parent))
    try:
        yield staging
        staging.chmod(0o777 & ~_umask())
        os.replace(staging, root)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def refuse_if_filled(root: Path) -> None:
    """Raise EngineError where `root` is a file, or a folder with anything in it."""
    if root.exists() and not root.is_dir():
        raise EngineError(f"{root} is a file", hint="give a new folder")
    if root.is_dir() and any(root.iterdir()):
        raise EngineError(f"{root} is not empty", "nothing in it was changed", "give a new or an empty folder")


def _write_rows(
    staging: Path,
    root: Path,
    given: Mapping[str, Path],
    declared: ProjectData,
    plan: SplitPlan,
    notes: list[str],
) -> tuple[ProjectData, MadeSplits]:
    """Write and freeze the splits; gives what rung.yaml declares, and what was made."""
    rows = {}
    for name, path in given.items():
        found, problems = read_rows(path)
        rows[name] = [row.fields for row in found]
        notes += _notes_on_rows(problems)
    sources = {_relative(path, root): path for path in given.values()}
    if "test" in given:
        files = {name: f"data/{name}.jsonl" for name in rows}
        for name, file in files.items():
            write_json_lines_atomic(staging / file, rows[name])
        made = freeze_files(staging, files, plan, sources)
    else:
        made = split_into(staging, rows["train"], declared, plan, sources)
    notes += made.notes
    if made.leaks:
        notes.append(f"{len(made.leaks)} held-out rows stand in the training rows, the first: {made.leaks[0].text}")
    places = {name: split.file for name, split in made.record.splits.items() if name in ProjectData.model_fields}
    split = {"group_by": made.record.group_by, "time_by": plan.time_by, "label": plan.label}
    described = split | {"sources": list(sources)}
    return declared.model_copy(update=places | described), made


def _notes_on_rows(problems: list[Problem]) -> list[str]:
    told = [f"{problem.source} line {problem.line} is left out: {problem.reason}" for problem in problems[:MOST_TOLD]]
    more = len(problems) - len(told)
    return [*told, f"{more} more rows are left out; rung check lists them all"] if more > 0 else told


def _model_name(model: str, root: Path) -> str:
    """The model as rung.yaml names it: a folder's path relative to the project, whatever else as it is."""
    folder = Path(model).expanduser()
    return _relative(folder, root) if model != "pocket" and is_folder(folder) else model


def _relative(path: Path, root: Path) -> str:
    return os.path.relpath(path.expanduser().resolve(), root)


def _notes_on(facts: ModelFacts, model: str) -> list[str]:
    if facts.has_chat_template is False:
        return [f"{model} has no chat template: chat_template is set to plain (headings and its own stop token)"]
    if facts.has_chat_template is None:
        return [
            f"{model} is a hub id: its template and context are read when it is there; rung fetch {model} brings it"
        ]
    return []


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
