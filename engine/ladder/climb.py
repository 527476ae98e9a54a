"""The whole ladder without a hand on it: every rung that applies, measured on one held-out set, and the verdict.

Every choice follows from files (answers, scores, runs), so a climb that was killed is simply begun again: what is on
disk is not done twice. Used only inside a worker.
"""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.jobs.events import Event, Warned
from rung.engine.jobs.failures import is_disk_full
from rung.engine.jobs.ladder_events import Decided, Scored, Skipped, Tried
from rung.engine.ladder.bench import Bench, Trial
from rung.engine.ladder.board import build_board, write_board
from rung.engine.ladder.budget import Cost, Spending
from rung.engine.ladder.climb_record import ClimbRecord
from rung.engine.ladder.entries import read_entries
from rung.engine.ladder.gains import LEARNS_FROM_JUDGMENTS, gains
from rung.engine.ladder.prompt_rung import climb_prompt
from rung.engine.ladder.question import Question
from rung.engine.ladder.rag_rung import climb_rag, diagnose, rag_answers
from rung.engine.ladder.reach import target_warnings
from rung.engine.ladder.rung_failure import failure_of, in_one_line, reason_of
from rung.engine.ladder.rung_meter import RungMeter
from rung.engine.ladder.spec import RUNGS, CandidateSpec, Rung, declared_spec
from rung.engine.ladder.tune_rung import LearningCurve, TrainingStopped, climb_tune, learning_curve, tune_answers
from rung.engine.project.schema import ProjectSettings
from rung.engine.stats.intervals import Estimate


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
        self._tokens_before = record.tokens
        self._spending = Spending(project.budget, self._tokens, record.seconds)
        self._meter = RungMeter(report)
        self._bench = Bench(root, project, self._report_and_keep, self._spending.share_is_spent, self._meter)
        self._endpoints = [endpoint.name for endpoint in project.endpoints]
        self._rag_trial: Trial | None = None
        self._failures: list[Exception] = []
        self._way = _Way({entry.rung: entry.spec for entry in read_entries(root) if entry.chosen})

    def run(self) -> dict[str, Any]:
        """Climb, write the scoreboard after every rung, without a verdict, and give it with the verdict in the end.

        Raises EngineError where the held-out rows are not fit for it, before anything is asked.
        """
        if not self._bench.held_out:
            raise EngineError("There are no held-out rows to measure on", f"data.test: {self._bench.project.data.test}")
        for warning in target_warnings(self._bench.metric, self._project.target, self._bench.held_out):
            self._report(warning)
        rungs: dict[Rung, Callable[[], CandidateSpec]] = {
            "prompt": self._prompt, "rag": self._rag, "tune": self._tune,
        }  # fmt: skip
        ahead = [rung for rung in RUNGS if self._reason_to_skip(rung) is None]
        self._write_board()
        try:
            for rung in RUNGS:
                self._record.forget(rung)
                if (why := self._reason_to_skip(rung)) is not None:
                    self._skip(rung, why)
                elif (spent := self._spending.exhausted()) is not None:
                    self._skip(rung, spent, out_of_budget=True)
                else:
                    self._begin_share(rung, len(ahead) - ahead.index(rung))
                    self._measure(rung, rungs[rung], ahead)
            self._measure_endpoints(lambda: self._spending.exhausted() is not None)
            if self._endpoints and "prompt" in self._way.scores:
                self._report(Warned(f"Not measured: {', '.join(self._endpoints)}", self._spending.exhausted() or ""))
        finally:
            self._keep_record()
        if self._failures and not self._way.scores:
            raise self._failures[0]  # There is nothing to judge, nor to go on with.
        board = self._write_board(at_end=True)
        board["gains"] = gains(self._bench, board, self._record.runs)
        write_board(self._bench.root, board)
        verdict = board["verdict"]
        self._report(Decided(verdict["rung"], verdict["candidate"], verdict["reasons"]))
        return board

    def _skip(self, rung: Rung, why: str, out_of_budget: bool = False) -> None:
        self._record.skipped[rung] = why
        if out_of_budget:
            self._record.out_of_budget.append(rung)
        self._report(Skipped(rung, why))

    def _begin_share(self, rung: Rung, rungs_left: int) -> None:
        """Give the rung its share of what is left; one that an earlier session began keeps the one it had."""
        spent = self._spending.so_far
        began = self._record.began.setdefault(rung, (spent.seconds, spent.tokens))
        self._spending.begin_share(Cost(*began), rungs_left)
        self._keep_record()

    def _answers_at_most(self, rung: Rung) -> int:
        """How many answers a rung above the first asks for, as far as is known before it begins."""
        bench = self._bench
        tried = rag_answers(bench, self._way.chosen.get("prompt")) if rung == "rag" else tune_answers(bench)
        return tried + len(bench.held_out)

    def _measure(self, rung: Rung, climb: Callable[[], CandidateSpec], ahead: Sequence[Rung]) -> None:
        """Measure a rung, or report why it could not be: a rung that fails doesn't take the others down."""
        try:
            later = ahead[ahead.index(rung) + 1 :]
            self._meter.begin(rung, ahead, {one: self._answers_at_most(one) for one in later})
            spec = climb()
            _, self._way.scores[rung] = self._bench.score_held_out(spec, spec.label, chosen=True)
            self._way.chosen[rung] = spec
            if rung == "prompt":
                self._measure_endpoints(self._bench.share_is_spent)
            if rung == "rag" and self._rag_trial is not None:
                self._diagnose(self._rag_trial)
        except Exception as error:
            # Without the model of the first rung there is nothing to stand on; on a full disk nothing can be kept.
            about_the_model = rung == "prompt" and isinstance(error, EngineError)
            if about_the_model or is_disk_full(error) or self._interrupted() is not None:
                raise
            if isinstance(error, TrainingStopped):
                self._skip(rung, f"the training was stopped and saved, {error.details}", out_of_budget=True)
            else:
                self._fail(rung, error)
        self._meter.end()
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
        """Find out why answers of the RAG rung fail."""

        def find_out() -> None:
            self._record.retrieval = diagnose(self._bench, trial).to_json()

        self._attempt("Not found out why answers of the RAG rung fail", find_out)

    def _attempt(self, what_failed: str, work: Callable[[], object]) -> None:
        """Do what no rung depends on: where it fails, that is told, and the rung keeps its score."""
        try:
            work()
        except Exception as error:
            if is_disk_full(error) or self._interrupted() is not None:
                raise
            if isinstance(error, EngineError):
                self._report(Warned(f"{what_failed}: {error.message}", error.details, error.hint))
                return
            traceback.print_exception(error)
            said = f"{what_failed}: a fault of the program"
            self._report(Warned(said, in_one_line(error), f"{self._log} shows where"))

    def _reason_to_skip(self, rung: Rung) -> str | None:
        if rung not in self._options.rungs:
            return "it was left out of this climb"
        if rung == "rag" and self._project.documents is None:
            return "the project has no documents"
        if rung == "tune" and self._project.data.train is None:
            return "the project has no training rows"
        if self._options.stop_early and (cleared := self._cleared()) is not None:
            return f"{cleared} clears the target already (--stop-early)"
        return None

    def _cleared(self) -> Rung | None:
        question = Question(self._bench.metric, self._project.target, self._project.margin)
        if question.target is None:
            return None
        return next((rung for rung, score in self._way.scores.items() if question.clears(score)), None)

    def _prompt(self) -> CandidateSpec:
        return climb_prompt(self._bench).spec

    def _measure_endpoints(self, must_wait: Callable[[], bool]) -> None:
        """Models behind endpoints, asked as the prompt rung's best is: rows of the scoreboard, not a rung.

        Those that must wait are measured after all rungs, if the budget lasts.
        """
        while "prompt" in self._way.scores and self._endpoints and not must_wait():
            name = self._endpoints.pop(0)
            spec = self._way.chosen["prompt"].model_copy(update={"endpoint": name})
            self._attempt(
                f"{name} was not measured", partial(self._bench.score_held_out, spec, spec.label, chosen=False)
            )

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
        if (spent := self._spending.exhausted()) is not None:
            self._report(Warned("No learning curve was trained", spent))
            return LearningCurve([])
        found: list[LearningCurve] = []
        self._attempt(
            "No learning curve", lambda: found.append(learning_curve(self._bench, best, self._reason_to_stop))
        )
        return found[0] if found else LearningCurve([])

    def _reason_to_stop(self) -> str | None:
        return self._interrupted() or self._spending.exhausted()

    def _tokens(self) -> int:
        return self._tokens_before + self._bench.answerer.tokens

    def _report_and_keep(self, event: Event) -> None:
        """Keep what is spent beside what was found by it: a kill in the middle of a rung forgets little."""
        if isinstance(event, (Tried, Scored)):
            self._keep_record()
        self._report(event)
        self._meter.take(event)

    def _keep_record(self) -> None:
        spent = self._spending.so_far
        self._record.seconds, self._record.tokens = spent.seconds, int(spent.tokens)
        self._record.save()

    def _write_board(self, at_end: bool = False) -> dict[str, Any]:
        """The scoreboard of what is measured so far; a verdict is given at the climb's end, and not before."""
        board = build_board(
            self._bench.root,
            self._project,
            self._bench.metrics,
            self._bench.held_out,
            self._record.skipped,
            self._record.failed,
            self._record.out_of_budget,
        )
        board["retrieval"] = self._record.retrieval
        board["learning_curve"] = self._record.learning_curve
        board["learning_gain"] = self._record.learning_gain
        if not at_end:
            board["verdict"] = None
        write_board(self._bench.root, board)
        return board
