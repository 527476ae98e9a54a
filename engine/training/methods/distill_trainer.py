"""TRL's trainers for distillation. Imports the training stack: only methods/distill.py loads it."""

from collections.abc import Sequence
from typing import Any

from torch.utils.data import Sampler
from trl import DistillationTrainer, SFTTrainer

from rung.engine.data.encode import encode_prompt
from rung.engine.data.prompts import Prompted
from rung.engine.generation.greedy import answer_text, greedy_answers
from rung.engine.metrics.scoring import score_answer
from rung.engine.metrics.spec import MetricSpec
from rung.engine.training.job import Job
from rung.engine.training.methods.answering_trainer import AnsweringTrainer
from rung.engine.training.methods.batches import LengthBatched, RepeatedPrompts


class MeasuresGap:
    """Mixed into a trainer of a student: evaluations say how far its score is behind the teacher's."""

    _gap: tuple[Job, MetricSpec, int, Sequence[tuple[Prompted, float]]] | None = None

    def measure_gap(
        self, job: Job, metric: MetricSpec, max_new_tokens: int, prompts: Sequence[tuple[Prompted, float]]
    ) -> None:
        """Score the student on these prompts, each with the teacher's score, at every evaluation."""
        if prompts:
            self._gap = (job, metric, max_new_tokens, prompts)

    def evaluation_loop(self: Any, *args: Any, **options: Any) -> Any:
        """TRL's loop, with the student's score, the teacher's, and the gap between them."""
        output = super().evaluation_loop(*args, **options)  # type: ignore[misc]
        if self._gap is not None:
            output.metrics.update({f"eval_{name}": value for name, value in self._gap_figures().items()})
        return output

    def _gap_figures(self) -> dict[str, float]:
        assert self._gap is not None
        job, metric, max_new_tokens, prompts = self._gap
        ids = [encode_prompt(prompt.prompt, job.tokenizer, job.recipe.model.template_args) for prompt, _ in prompts]
        answers = greedy_answers(job.model, job.tokenizer, ids, max_new_tokens)
        scores = [
            score_answer(metric, answer_text(job.tokenizer, answer), prompt.reference or "", prompt.fields) or 0.0
            for (prompt, _), answer in zip(prompts, answers, strict=True)
        ]
        student = sum(scores) / len(scores)
        teacher = sum(score for _, score in prompts) / len(prompts)
        return {"student_score": student, "teacher_score": teacher, "score_gap": teacher - student}


class AnswerTaughtTrainer(MeasuresGap, LengthBatched, SFTTrainer):
    """SFTTrainer on a teacher's answers."""


class LogitTaughtTrainer(MeasuresGap, AnsweringTrainer, DistillationTrainer):
    """DistillationTrainer that knows prompts by their number."""

    @property
    def _steps_an_answer(self) -> int:
        steps: int = self.args.gradient_accumulation_steps
        return steps

    def _get_train_sampler(self, dataset: object = None) -> Sampler[int]:
        steps = self.args.gradient_accumulation_steps
        return RepeatedPrompts(
            count=len(self.train_dataset),
            generations=1,
            prompts_at_once=self.args.per_device_train_batch_size * steps,
            repeats=steps,
            seed=self.args.seed,
        )
