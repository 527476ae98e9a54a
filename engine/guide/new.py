"""A new project: rung.yaml, a recipe of the method its rows are for, and the split data, all there or none of it."""

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.core.files import is_folder, is_path, write_json_lines_atomic
from rung.engine.data.read import data_files
from rung.engine.data.running_text import is_documents
from rung.engine.guide.new_rows import MOST_TOLD, NewRows, read_new_rows
from rung.engine.guide.staging import refuse_if_filled, whole_or_not_at_all
from rung.engine.ladder.reach import reach_notes
from rung.engine.metrics.parse import parse_metrics
from rung.engine.metrics.recommend import recommended_metric
from rung.engine.metrics.target import check_target
from rung.engine.models.model_facts import ModelFacts, model_facts
from rung.engine.project.follow import MAX_LENGTH
from rung.engine.project.load import save_project
from rung.engine.project.schema import ProjectData, ProjectSettings, Situation, TuneSettings, Want
from rung.engine.recipe.schema import DataSettings, Method, ModelSettings
from rung.engine.retrieval.loaders import load_documents
from rung.engine.retrieval.settings import RetrievalSettings
from rung.engine.splits.group_report import GroupsApart
from rung.engine.splits.grouping import is_asked_or_answered
from rung.engine.splits.make import MadeSplits, SplitPlan, freeze_files, make_splits
from rung.engine.splits.partition import NO_GROUPS
from rung.engine.training.recommended_recipe import Recommended, recommended_recipe, write_recipe

MOST_REFERENCES = 5_000
_USUAL_METRICS: list[Any] = ["exact_match"]


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
    given = _given(train, validation, test, documents)
    settings, facts, notes = chosen_model(model, root)
    check_target(parse_metrics([*metrics] or _USUAL_METRICS, Path())[0], target if metrics else None)
    declared, measured = data or ProjectData(), [_seen_from(root, metric) for metric in metrics]
    if plan is not None:
        declared = declared.model_copy(update={"time_by": plan.time_by, "label": plan.label, "group_by": plan.group_by})
    text = train is not None and is_documents(given["train"])
    found = {} if text else {name: read_new_rows(path, declared) for name, path in given.items()}
    with whole_or_not_at_all(root) as staging:
        method: Method = "sft"
        made: MadeSplits | None = None
        num_rows: int | None = None
        warnings: list[str] = []
        if text:
            declared, method = _text_as_it_lies(given, root, declared, notes), "cpt"
        elif found:
            rows = found["train"]
            found = _under_the_same_names(found)
            declared = declared.model_copy(update={"columns": found["train"].columns})
            declared, made = _write_rows(
                staging, root, given, found, declared, plan or split_plan(declared, seed), notes
            )
            method, num_rows, warnings = rows.method, made.record.splits["train"].rows, [*rows.warnings, *made.warnings]
            measured = measured or _fitting_metric(rows.references[:MOST_REFERENCES], notes)
        if not metrics:
            check_target(parse_metrics(measured or _USUAL_METRICS, root)[0], target)
        data_settings = DataSettings(
            train=declared.train or "data/train.jsonl", validation=declared.validation, shape=declared.shape,
            columns=declared.columns, max_length=MAX_LENGTH,
        )  # fmt: skip
        recipe = f"recipes/{method}.yaml"
        recommended = recommended_recipe(settings, facts, data_settings, num_rows, method)
        write_recipe(staging, _with_reward(recommended, measured), recipe)
        project = ProjectSettings(
            name=name or root.name,
            situation=Situation(wants=list(wants), task=task),
            model=settings,
            data=declared,
            documents=RetrievalSettings(path=_relative(documents, root)) if documents else None,
            metrics=measured or _USUAL_METRICS,
            target=target,
            tune=TuneSettings(recipe=recipe),
        )
        save_project(staging, project)
        notes += reach_notes(staging, project)
    if train is None:
        notes.append(f"no rows yet: name them under data: in rung.yaml and in {recipe}")
    if made is None:
        return NewProject(root, recipe, notes, warnings)
    sizes = {name: split.rows for name, split in made.record.splits.items()}
    return NewProject(root, recipe, notes, warnings, sizes, made.groups)


def _given(train: Path | None, validation: Path | None, test: Path | None, documents: Path | None) -> dict[str, Path]:
    """The files of rows by their split, as absolute paths. Raises EngineError for what isn't there or goes unused."""
    if documents is not None and not is_path(documents.expanduser()):
        raise EngineError(f"There are no documents at {documents}", hint="give a file, or a folder of them")
    files = {"train": train, "validation": validation, "test": test}
    given = {name: path.expanduser().resolve() for name, path in files.items() if path is not None}
    if given and "train" not in given:
        raise EngineError(f"--{next(iter(given))} goes with --train", hint="name the rows to learn from, too")
    if "validation" in given and "test" not in given:
        raise EngineError(
            "--validation goes with --test",
            "with --train alone the rows are split into training, validation and held-out rows",
            "name held-out rows of your own, too, or leave --validation out",
        )
    for path in given.values():
        if not is_path(path):
            raise EngineError(f"{path} does not exist", hint="check the path")
    return given


def _text_as_it_lies(given: Mapping[str, Path], root: Path, declared: ProjectData, notes: list[str]) -> ProjectData:
    """What rung.yaml says of documents to learn from, which are read where they lie. Raises EngineError."""
    if "test" in given:
        raise EngineError(
            f"{given['train']} is running text, which has no answers to score",
            f"held-out rows: {given['test']}",
            "leave --test out, or give rows with a prompt and an answer",
        )
    documents, problems = load_documents(given["train"])
    if not any(document.text.strip() for document in documents):
        details = "\n".join(f"{item.path}: {item.reason}" for item in problems)
        raise EngineError(f"{given['train']} holds no text", details, "give a file with text, or rows")
    notes += [f"{item.path}: {item.reason}" for item in problems[:MOST_TOLD]]
    train = _relative(given["train"], root)
    notes.append(f"{train} is running text: it is read where it lies, and a tenth of it is held out while it's learned")
    return declared.model_copy(update={"train": train, "sources": [train]})


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
    return make_splits(project_dir, rows, plan, sources, answers, passages, declared.columns)


def _under_the_same_names(found: Mapping[str, NewRows]) -> dict[str, NewRows]:
    """The rows of all files so that one `columns` reads them: where theirs differ, under the fields' own names."""
    if all(rows.columns == found["train"].columns for rows in found.values()):
        return dict(found)
    return {
        name: replace(
            rows,
            rows=[row | {field: row.get(column) for field, column in rows.columns.items()} for row in rows.rows],
            columns={},
        )
        for name, rows in found.items()
    }


def _with_reward(recommended: Recommended, metrics: Sequence[Any]) -> Recommended:
    """The recipe; where answers are to be rewarded and there are references, with the metric as its reward."""
    recipe = recommended.recipe
    if recipe.method != "grpo" or not metrics:
        return recommended
    reward = {"name": metrics[0]} if isinstance(metrics[0], str) else metrics[0]
    return replace(recommended, recipe=recipe.model_copy(update={"grpo": {"rewards": [reward]}}))


def _fitting_metric(references: Sequence[str], notes: list[str]) -> list[Any]:
    """The metric that fits the answers, for rung.yaml, and why among the notes; none without answers."""
    found = recommended_metric(references)
    if found is None:
        return []
    metric, why = found
    notes.append(f"metric {metric if isinstance(metric, str) else metric['name']}: {why} (--metric names another)")
    return [metric]


def _seen_from(root: Path, metric: Any) -> Any:
    """A metric as rung.yaml writes it: a function's file is named from the current folder, and written from `root`."""
    if not isinstance(metric, str) or ".py:" not in metric:
        return metric
    file, _, function = metric.rpartition(":")
    return f"{_relative(Path(file), root)}:{function}"


def chosen_model(model: str, root: Path) -> tuple[ModelSettings, ModelFacts, list[str]]:
    """The model as the project in `root` names it, what its files say, and what the user should know of it.

    `model` is seen from the current folder. A model without a chat template gets the built-in `plain`.
    """
    settings = ModelSettings(name=_model_name(model, root))
    facts = model_facts(settings.name, root)
    if facts.has_chat_template is False:
        settings = settings.model_copy(update={"chat_template": "plain"})
    return settings, facts, _notes_on(facts, settings.name)


def _write_rows(
    staging: Path,
    root: Path,
    given: Mapping[str, Path],
    found: Mapping[str, NewRows],
    declared: ProjectData,
    plan: SplitPlan,
    notes: list[str],
) -> tuple[ProjectData, MadeSplits]:
    """Write and freeze the splits; gives what rung.yaml declares, and what was made."""
    notes += dict.fromkeys(note for rows in found.values() for note in rows.notes)
    sources = {_relative(file, root): file for path in given.values() for file in data_files(path)}
    if "test" in given:
        files = {name: f"data/{name}.jsonl" for name in found}
        for name, file in files.items():
            write_json_lines_atomic(staging / file, found[name].rows)
        made = freeze_files(staging, files, plan, sources, declared.columns)
    else:
        made = split_into(staging, found["train"].rows, declared, plan, sources)
    notes += made.notes
    if made.leaks:
        notes.append(f"{len(made.leaks)} held-out rows stand in the training rows, the first: {made.leaks[0].text}")
    places = {name: split.file for name, split in made.record.splits.items() if name in ProjectData.model_fields}
    split = {"group_by": made.record.group_by, "time_by": plan.time_by, "label": plan.label}
    described = split | {"sources": list(sources)}
    return declared.model_copy(update=places | described), made


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
        fetch = f"rung fetch {shlex.quote(model)} brings it"
        return [f"{model} is a hub id: its template and context are read when it is there; {fetch}"]
    return []
