"""What an evaluation's worker does: candidates on a split, or a whole climb."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rung.engine.core.files import canonical_json, read_json, sha256_text, write_text_atomic
from rung.engine.jobs.events import Event
from rung.engine.jobs.folder import RunFolder
from rung.engine.ladder.bench import Bench, Trial
from rung.engine.ladder.board import build_board, write_board
from rung.engine.ladder.board_file import BOARD_FILE
from rung.engine.ladder.climb import Climb, ClimbOptions
from rung.engine.ladder.climb_record import open_record
from rung.engine.ladder.examples import EvaluationExample, sample
from rung.engine.ladder.held_out import sealed_examples
from rung.engine.ladder.project_facts import gather_facts
from rung.engine.ladder.report import climb_report
from rung.engine.ladder.spec import CandidateSpec
from rung.engine.project.load import build_project
from rung.engine.project.schema import ProjectSettings
from rung.engine.splits.make import count_look

REPORT_FILE = "report.md"
FOUND_BY_CLIMB = ("retrieval", "learning_curve", "learning_gain", "gains")


def run_evaluation(
    root: Path, project: ProjectSettings, job: dict[str, Any], report: Callable[[Event], None]
) -> list[dict[str, Any]]:
    """One row a candidate: of the scoreboard for the held-out split, a plain score for the validation split."""
    bench = Bench(root, project, report)
    specs = [CandidateSpec.model_validate(value) for value in job["specs"]]
    if job["split"] != "test":
        examples = _other_rows(bench, job)
        trials = [bench.try_out(spec, examples) for spec in specs]
        if job["split"] == "final":
            for trial in trials:
                count_look(root, trial.candidate, "final")
        return [_plain_row(bench, trial) for trial in trials]
    wanted = [bench.score_held_out(spec, spec.label, chosen=False)[0].candidate for spec in specs]
    # What the last climb found beside the scores stays: only the rows are new.
    kept = read_json(root / BOARD_FILE) if (root / BOARD_FILE).exists() else {}
    why = {name: kept.get(name) for name in ("skipped", "failed", "out_of_budget")}
    board = build_board(root, project, bench.metrics, bench.held_out, **why)
    write_board(root, {name: kept[name] for name in FOUND_BY_CLIMB if name in kept} | board)
    return [row for row in board["scoreboard"] if row["candidate"] in wanted]


def _other_rows(bench: Bench, job: dict[str, Any]) -> list[EvaluationExample]:
    if job["split"] == "final":
        return sealed_examples(bench.root, bench.project)
    return sample(bench.validation, job.get("rows"))


def _plain_row(bench: Bench, trial: Trial) -> dict[str, Any]:
    named = {"candidate": trial.candidate, "rung": trial.spec.rung, "label": trial.spec.label}
    return named | {"metric": bench.metric.key} | asdict(trial.estimate)


def run_climb(
    root: Path,
    project: ProjectSettings,
    job: dict[str, Any],
    folder: RunFolder,
    report: Callable[[Event], None],
    interrupted: Callable[[], str | None],
) -> dict[str, Any]:
    """The climb's result as `rung climb --json` prints it; its report is written beside it."""
    settings = _overridden(project, job["overrides"])
    key = sha256_text(canonical_json({"project": settings.model_dump(mode="json"), "job": job}))[:12]
    record = open_record(folder.path / "record.json", key)
    options = ClimbOptions(tuple(job["rungs"]), job["stop_early"])
    board = Climb(root, settings, options, record, folder.log, report, interrupted).run()
    record.finished = True
    record.save()
    advice = gather_facts(root, settings).advice
    write_text_atomic(folder.path / REPORT_FILE, climb_report(settings, board, record, advice))
    return {
        "verdict": board["verdict"],
        "scoreboard": board["scoreboard"],
        "pairs": board["pairs"],
        "runs": record.runs,
        "retrieval": board["retrieval"],
        "learning_curve": board["learning_curve"],
        "gains": board["gains"],
        "skipped": record.skipped,
        "failed": record.failed,
        "out_of_budget": record.out_of_budget,
        "advice": [one.to_json() for one in advice],
        "seconds": round(record.seconds, 3),
        "tokens": record.tokens,
    }


def _overridden(project: ProjectSettings, overrides: dict[str, Any]) -> ProjectSettings:
    """The project with some fields replaced; a block's fields are replaced one by one."""
    value = project.model_dump(by_alias=True)
    for name, given in overrides.items():
        value[name] = value[name] | given if isinstance(given, dict) else given
    return build_project(value, "the climb's options")
