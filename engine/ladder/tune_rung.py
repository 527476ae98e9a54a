"""The tune rung: the project's recipes are run (or found running, or done), and what answers is measured."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rung.engine.core.errors import EngineError
from rung.engine.core.files import canonical_json, sha256_file, sha256_text, write_json_lines_atomic
from rung.engine.data.read import read_rows
from rung.engine.jobs.events import Phase, Warned
from rung.engine.jobs.folder import RunFolder, list_runs
from rung.engine.jobs.ladder_events import Chosen
from rung.engine.jobs.lock import is_locked
from rung.engine.jobs.reader import RunReader
from rung.engine.ladder.advice_facts import LearningGain
from rung.engine.ladder.bench import Bench, Trial
from rung.engine.ladder.spec import CandidateSpec, base_spec, tuned_spec
from rung.engine.metrics.spec import MetricSpec
from rung.engine.metrics.summary import compare_scores
from rung.engine.models.model_facts import model_facts
from rung.engine.project.follow import MAX_LENGTH, count_rows, load_fitted
from rung.engine.project.schema import FewShotSettings, ProjectSettings
from rung.engine.recipe.load import load_recipe
from rung.engine.recipe.schema import DataSettings, Recipe
from rung.engine.training.launch import request, resume_run, start_run
from rung.engine.training.methods import method_of
from rung.engine.training.named_runs import with_runs_named
from rung.engine.training.recommended_recipe import recommended_recipe, write_recipe

POLL_SECONDS = 0.2
_TAG = "climb-"


class TrainingStopped(EngineError):
    """The training was stopped, and saved, before its end: it was asked to, or the budget ended."""


@dataclass(frozen=True)
class TunedRuns:
    """What the recipes made: of each run that answers its best way of being asked, best run first; and all runs."""

    trials: list[Trial]
    runs: list[RunFolder]


def climb_tune(bench: Bench, rag: CandidateSpec | None, should_stop: Callable[[], str | None]) -> TunedRuns:
    """Train by the project's recipes, one after the other, and try out what answers on the validation rows.

    A run of the same recipe on the same data is taken over: waited for, resumed, or used as it is. `should_stop` gives
    a reason to break off; the run is then saved and stopped. Raises EngineError where the training fails.
    """
    found = TunedRuns([], [])
    for recipe in project_recipes(bench.root, bench.project):
        if found.trials and (why := should_stop()) is not None:
            bench.report(Warned("The tune rung's further recipes were not run", why))
            break
        bench.answerer.models.unload()
        bench.meter.expect(len(bench.validation) + len(bench.held_out))
        folder = finished_run(bench, with_runs_named(recipe, bench.root), should_stop)
        found.runs.append(folder)
        if method_of(recipe.method).task != "SEQ_CLS":
            found.trials.append(bench.choose(tuned_variants(bench, folder, rag)))
    if not found.trials:
        raise EngineError(
            "The tune rung has nothing that answers",
            "a reward model gives scores",
            "tune.recipe in rung.yaml: a recipe of another method",
        )
    sign = -1.0 if bench.metric.more_is_better else 1.0
    found.trials.sort(key=lambda trial: sign * trial.estimate.score)
    best = found.trials[0]
    bench.report(Chosen("tune", best.spec.label, best.candidate, f"best of {len(found.trials)} by the validation rows"))
    return found


def tune_answers(bench: Bench) -> int:
    """How many answers on the validation rows this rung asks for: one way of asking the model of each recipe."""
    return (1 + len(bench.project.tune.also)) * len(bench.validation)


@dataclass(frozen=True)
class LearningCurve:
    """(training rows, score on the validation rows), the fewest first; and what the last step gained."""

    points: list[tuple[int, float]]
    gain: LearningGain | None = None


def learning_curve(bench: Bench, best: Trial, should_stop: Callable[[], str | None]) -> LearningCurve:
    """The scores of runs on shares of the training rows, and of `best`, which is trained on all of them.

    The subsets are seeded, and smaller ones are within larger ones. Raises EngineError where a training fails.
    """
    recipe = project_recipe(bench.root, bench.project)
    rows = [row.fields for row in read_rows(bench.root / recipe.data.train)[0]]
    random.Random(recipe.seed).shuffle(rows)
    trials = []
    for share in sorted(bench.project.tune.learning_curve):
        count = max(1, round(share * len(rows)))
        file = f"evaluations/subsets/{count}-rows.jsonl"
        write_json_lines_atomic(bench.root / file, rows[:count])
        bench.answerer.models.unload()
        smaller = recipe.model_copy(update={"data": recipe.data.model_copy(update={"train": file})})
        folder = finished_run(bench, smaller, should_stop)
        trials.append((count, bench.try_out(tuned_spec(best.spec, bench.project, folder, bench.root))))
    trials.append((len(rows), best))
    return LearningCurve([(count, trial.estimate.score) for count, trial in trials], last_gain(bench.metric, trials))


def last_gain(metric: MetricSpec, trials: Sequence[tuple[int, Trial]]) -> LearningGain | None:
    """What the last step of the curve gained, on the rows that both are scored on; None for a curve of one point."""
    if len(trials) < 2:
        return None
    (fewer, before), (more, after) = trials[-2:]
    # Turned so that a gain is positive for a metric of which less is better, too.
    first, second = (after, before) if metric.more_is_better else (before, after)
    found = compare_scores(metric, first.scores, second.scores)
    # Advice follows from it, so its ends are those of a claim.
    return LearningGain(fewer, more, found.difference, found.claim_low, found.claim_high, found.n)


def project_recipe(root: Path, project: ProjectSettings) -> Recipe:
    """The recipe of the tune rung; where the project has none, the recommended one is written first."""
    path = root / project.tune.recipe
    if not path.exists():
        data = DataSettings(
            train=str(project.data.train), validation=project.data.validation, shape=project.data.shape,
            columns=project.data.columns, max_length=MAX_LENGTH,
        )  # fmt: skip
        facts = model_facts(project.model.name, root, project.model.revision)
        made = recommended_recipe(project.model, facts, data, count_rows(root / data.train))
        write_recipe(root, made, project.tune.recipe)
    return load_fitted(path)


def project_recipes(root: Path, project: ProjectSettings) -> list[Recipe]:
    """The recipes of the tune rung in the order in which they are run."""
    further = [load_fitted(root / name) for name in project.tune.also]
    return [project_recipe(root, project), *further]


def finished_run(bench: Bench, recipe: Recipe, should_stop: Callable[[], str | None]) -> RunFolder:
    """A finished run of the recipe on the data as they are now."""
    tag = _TAG + recipe_key(bench.root, recipe)
    folder = _run_with_tag(bench.root, tag)
    if folder is None:
        overrides = dict.fromkeys([*recipe.overrides, *bench.project.overrides])
        changes = {"tags": [*recipe.tags, tag], "overrides": list(overrides)}
        # Whether models may be fetched was asked when the climb was started.
        folder = start_run(recipe.model_copy(update=changes), bench.root, fetch=True)
    elif not is_locked(folder.lock) and RunReader(folder).catch_up().status != "finished":
        resume_run(folder)
    _wait(bench, folder, should_stop)
    return folder


def recipe_key(root: Path, recipe: Recipe) -> str:
    """A hash of what decides a run's result: the recipe, but for the GPU, and the content of its data files."""
    files = [path for path in (recipe.data.train, recipe.data.validation) if path is not None]
    hashes = {path: sha256_file(root / path) for path in files if (root / path).is_file()}
    return sha256_text(canonical_json({"recipe": recipe.model_dump(mode="json", exclude={"devices"}), "data": hashes}))[
        :8
    ]


def tuned_variants(bench: Bench, folder: RunFolder, rag: CandidateSpec | None) -> list[CandidateSpec]:
    """Ways to ask the tuned model: as in its training rows, with the project's instructions, and with passages."""
    project = bench.project
    bare = base_spec(project).model_copy(update={"system_prompt": None, "few_shot": FewShotSettings()})
    plain = tuned_spec(bare, project, folder, bench.root)
    variants = [plain]
    if project.system_prompt:
        variants.append(plain.model_copy(update={"system_prompt": project.system_prompt}))
    if rag is not None and project.tune.with_retrieval:
        variants.append(plain.model_copy(update={"retrieval": rag.retrieval, "system_prompt": rag.system_prompt}))
    return variants


def _run_with_tag(root: Path, tag: str) -> RunFolder | None:
    """The newest run that an earlier climb started for the same recipe and data, unless it failed for good."""
    for folder in reversed(list_runs(root)):
        if not folder.recipe.exists() or tag not in load_recipe(folder.recipe).tags:
            continue
        state = RunReader(folder).catch_up()
        if state.status != "failed" or state.result.get("resumable"):
            return folder
    return None


def _wait(bench: Bench, folder: RunFolder, should_stop: Callable[[], str | None]) -> None:
    reader = RunReader(folder)
    bench.report(Phase("train", unit=f"run {folder.id}"))
    shown = -1
    asked: str | None = None
    while True:
        moved = bool(reader.refresh())
        state = reader.state
        if state.total_steps and state.step != shown:
            shown = state.step
            bench.report(Phase("train", state.step, state.total_steps, "steps"))
            bench.meter.train(state.step, state.total_steps, state.seconds_left())
        if asked is None and (asked := should_stop()) is not None and is_locked(folder.lock):
            request(folder, "stop", "climb")
        if not moved:
            if state.over and not is_locked(folder.lock) or reader.status() == "crashed":
                break
            time.sleep(POLL_SECONDS)
    _require_finished(folder, reader, asked)


def _require_finished(folder: RunFolder, reader: RunReader, asked: str | None) -> None:
    status = reader.status()
    if status == "finished":
        return
    if asked is not None:
        raise TrainingStopped("Training was stopped before its end", asked, f"rung resume {folder.id} goes on")
    result = reader.state.result
    message = result.get("message") or f"the run {folder.id} is {status}"
    raise EngineError(str(message), str(result.get("details", "")), str(result.get("hint") or f"see {folder.log}"))
