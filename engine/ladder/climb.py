"""The whole ladder without a hand on it: every rung that applies, measured on one held-out set, and the verdict.

Every choice follows from files (answers, scores, runs), so a climb that was killed is simply begun again: what is on
disk is not done twice. Used only inside a worker.
"""

import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.events import Event, Warned
from engine.ladder.bench import Bench, Trial
from engine.ladder.board import build_board, write_board
from engine.ladder.budget import Spending
from engine.ladder.climb_record import ClimbRecord
from engine.ladder.entries import read_entries
from engine.ladder.events import Decided, Skipped
from engine.ladder.examples import group_count
from engine.ladder.gains import LEARNS_FROM_JUDGMENTS, gains
from engine.ladder.prompt_rung import climb_prompt
from engine.ladder.question import Question
from engine.ladder.rag_rung import climb_rag, diagnose
from engine.ladder.reach import out_of_reach
from engine.ladder.rung_failure import failure_of, in_one_line, reason_of
from engine.ladder.spec import RUNGS, CandidateSpec, Rung, declared_spec
from engine.ladder.tune_rung import LearningCurve, climb_tune, learning_curve
from engine.measure.intervals import Estimate
from engine.project.schema import ProjectSettings
from engine.worker.failures import is_disk_full


@dataclass(frozen=True)
class ClimbOptions:
    """What one climb is asked to do. `rungs` limits it; `stop_early` ends it at the first that clears the target."""

    rungs: tuple[Rung, ...] = RUNGS
    stop_early: bool = False


@dataclass
class _Way:
    """What the rungs below have found."""

    chosen: dict[Rung, CandidateSpec] = field(default_factory=dict)
    scores: dict[Rung, Estimate] = field(default_factory=dict)


class Climb:
    """One climb of a project; `interrupted` gives a reason to break off, or None; `log` gets the tracebacks."""

    def __init__(
        self,
        root: Path,
        project: ProjectSettings,
        options: ClimbOptions,
        record: ClimbRecord,
        log: Path,
        report: Callable[[Event], None],
        interrupted: Callable[[], str | None],
    ) -> None:
        self._project, self._options, self._record, self._log = project, options, record, log
        self._report, self._interrupted = report, interrupted
        self._spending = Spending(project.budget, record.seconds)
        self._tokens_before = record.tokens
        self._bench = Bench(root, project, report, lambda: self._exhausted() is not None)
        self._rag_trial: Trial | None = None
        self._failures: list[Exception] = []
        self._way = _Way({entry.rung: entry.spec for entry in read_entries(root) if entry.chosen})

    def run(self) -> dict[str, Any]:
        """Climb, write the scoreboard after every rung, and give it as it stands in the end.

        Raises EngineError where the held-out rows are not fit for it, before anything is asked.
        """
        if not self._bench.held_out:
            raise EngineError("There are no held-out rows to measure on", f"data.test: {self._bench.project.data.test}")
        self._warn_of_target()
        rungs: dict[Rung, Callable[[], CandidateSpec]] = {
            "prompt": self._prompt, "rag": self._rag, "tune": self._tune,
        }  # fmt: skip
        try:
            for rung in RUNGS:
                self._record.forget(rung)
                if (why := self._reason_to_skip(rung)) is not None:
                    self._record.skipped[rung] = why
                    self._report(Skipped(rung, why))
                else:
                    self._measure(rung, rungs[rung])
        finally:
            self._keep_record()
        if self._failures and not self._way.scores:
            raise self._failures[0]  # There is nothing to judge, nor to go on with.
        board = self._write_board()
        board["gains"] = gains(self._bench, board, self._record.runs)
        write_board(self._bench.root, board)
        verdict = board["verdict"]
        self._report(Decided(verdict["rung"], verdict["candidate"], verdict["reasons"]))
        return board

    def _warn_of_target(self) -> None:
        """A target written in per cent is the usual mistake; that no rung can reach it is said before the climb."""
        metric, target = self._bench.metric, self._project.target
        if target is not None and metric.bounds is not None and not metric.bounds[0] <= target <= metric.bounds[1]:
            low, high = metric.bounds
            said = f"{metric.name} lies between {low:g} and {high:g}, the target is {target:g}"
            self._report(Warned("No rung can reach the target", said, "80 per cent are written 0.8"))
        rows = self._bench.held_out
        if (said_too := out_of_reach(metric, target, len(rows), group_count(rows))) is not None:
            self._report(Warned("The held-out rows are too few for the target", said_too, "hold out more rows"))

    def _measure(self, rung: Rung, climb: Callable[[], CandidateSpec]) -> None:
        """Measure a rung, or report why it could not be: a rung that fails doesn't take the others down."""
        try:
            spec = climb()
            _, self._way.scores[rung] = self._bench.score_held_out(spec, spec.label, chosen=True)
            self._way.chosen[rung] = spec
            if rung == "rag" and self._rag_trial is not None:
                self._diagnose(self._rag_trial)
        except Exception as error:
            # Without the model of the first rung there is nothing to stand on; on a full disk nothing can be kept.
            about_the_model = rung == "prompt" and isinstance(error, EngineError)
            if about_the_model or is_disk_full(error) or self._interrupted() is not None:
                raise
            self._fail(rung, error)
        self._keep_record()
        self._write_board()

    def _fail(self, rung: Rung, error: Exception) -> None:
        failure = failure_of(rung, error, self._log)
        if failure.fault:
            traceback.print_exception(error)
        self._failures.append(error)
        self._record.failed[rung] = reason_of(failure)
        self._report(failure)

    def _diagnose(self, trial: Trial) -> None:
        """Find out why answers of the RAG rung fail; where that can't be told, the rung is measured all the same."""
        try:
            self._record.retrieval = diagnose(self._bench, trial).to_json()
        except Exception as error:
            if is_disk_full(error) or self._interrupted() is not None:
                raise
            traceback.print_exception(error)
            said = error.details if isinstance(error, EngineError) else in_one_line(error)
            self._report(Warned("Why answers of the RAG rung fail was not found out", said, f"see {self._log}"))

    def _reason_to_skip(self, rung: Rung) -> str | None:
        if rung not in self._options.rungs:
            return "it was left out of this climb"
        if (spent := self._exhausted()) is not None:
            return spent
        if self._options.stop_early and (cleared := self._cleared()) is not None:
            return f"{cleared} clears the target already (--stop-early)"
        if rung == "rag" and self._project.documents is None:
            return "the project has no documents"
        if rung == "tune" and self._project.data.train is None:
            return "the project has no training rows"
        return None

    def _cleared(self) -> Rung | None:
        question = Question(self._bench.metric, self._project.target, self._project.margin)
        if question.target is None:
            return None
        return next((rung for rung, score in self._way.scores.items() if question.clears(score)), None)

    def _prompt(self) -> CandidateSpec:
        best = climb_prompt(self._bench).spec
        for endpoint in self._project.endpoints:
            self._measure_endpoint(best.model_copy(update={"endpoint": endpoint.name}))
        return best

    def _measure_endpoint(self, spec: CandidateSpec) -> None:
        """A model behind an endpoint, asked in the same words: a row of the scoreboard, not a rung."""
        try:
            self._bench.score_held_out(spec, spec.label, chosen=False)
        except EngineError as error:
            self._report(Warned(error.message, error.details, error.hint))

    def _rag(self) -> CandidateSpec:
        self._record.retrieval = None
        self._rag_trial = climb_rag(self._bench, self._way.chosen.get("prompt"))
        return self._rag_trial.spec

    def _tune(self) -> CandidateSpec:
        found = climb_tune(self._bench, self._way.chosen.get("rag"), self._reason_to_stop)
        self._record.runs = list(dict.fromkeys([*self._record.runs, *(folder.id for folder in found.runs)]))
        best, *others = found.trials
        for other in others:
            self._bench.score_held_out(other.spec, other.spec.label, chosen=False)
        plain = declared_spec(self._project)
        judged = any(folder.method in LEARNS_FROM_JUDGMENTS for folder in found.runs)
        if judged and plain != self._way.chosen.get("prompt"):
            # What judgments have taught is told against the model as it was, asked in the same plain words.
            self._bench.score_held_out(plain, plain.label, chosen=False)
        curve = self._learning_curve(best)
        self._record.learning_curve = curve.points
        self._record.learning_gain = asdict(curve.gain) if curve.gain is not None else None
        return best.spec

    def _learning_curve(self, best: Trial) -> LearningCurve:
        """Scores by number of training rows; none where they weren't asked for, or can't be had."""
        if not self._project.tune.learning_curve:
            return LearningCurve([])
        try:
            return learning_curve(self._bench, best, self._reason_to_stop)
        except EngineError as error:
            if self._interrupted() is not None:
                raise
            self._report(Warned(f"No learning curve: {error.message}", error.details, error.hint))
            return LearningCurve([])

    def _reason_to_stop(self) -> str | None:
        return self._interrupted() or self._exhausted()

    def _exhausted(self) -> str | None:
        self._record.tokens = self._tokens_before + self._bench.answerer.tokens
        return self._spending.exhausted(self._record.tokens)

    def _keep_record(self) -> None:
        self._record.seconds = self._spending.seconds
        self._record.save()

    def _write_board(self) -> dict[str, Any]:
        board = build_board(
            self._bench.root,
            self._project,
            self._bench.metrics,
            self._bench.held_out,
            self._record.skipped,
            self._record.failed,
        )
        board["retrieval"] = self._record.retrieval
        board["learning_curve"] = self._record.learning_curve
        board["learning_gain"] = self._record.learning_gain
        write_board(self._bench.root, board)
        return board
