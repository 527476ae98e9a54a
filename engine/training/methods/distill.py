"""Distillation: a small model learns from a bigger one, from its answers or from its probabilities.

From answers: the teacher answers the prompts, a metric, a judge, or both keep the good ones, the student learns them as
in supervised fine-tuning. From logits: the student answers, and a local teacher's distribution corrects it (TRL's
DistillationTrainer). Beside the loss: the gap between the teacher's score and the student's, on validation prompts.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json, read_json_lines, write_json_atomic, write_json_lines_atomic
from rung.engine.data.prompts import Prompted, load_prompts
from rung.engine.data.report import LoadedData
from rung.engine.data.report import load_data as load_answers
from rung.engine.jobs.ending import obey_requests
from rung.engine.jobs.events import Phase, Warned
from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.reporter import Reporter
from rung.engine.metrics.parse import parse_metric
from rung.engine.metrics.scoring import score_answer
from rung.engine.metrics.spec import MetricSpec
from rung.engine.models.load import load_model, load_tokenizer, model_source
from rung.engine.recipe.schema import Recipe
from rung.engine.training.job import Job
from rung.engine.training.methods.answer_filter import NO_VERDICT, Sorted, reasons, sort_answers
from rung.engine.training.methods.answer_judge import judge_answers
from rung.engine.training.methods.arguments import construct, default_precision, trl_arguments
from rung.engine.training.methods.distill_settings import DistillSettings, distill_settings
from rung.engine.training.methods.rows import RowRecorder
from rung.engine.training.methods.sft import encoded_dataset
from rung.engine.training.methods.teacher import Answer, teacher_answers

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

FOLDER = "teacher"
DROPPED = "dropped.jsonl"
SUMMARY = "summary.json"
GAP_FILE = "validation_prompts.jsonl"
GAP_PROMPTS = 32
DEFAULT_COMPLETION_LENGTH = 256


def check(recipe: Recipe, root: Path) -> None:
    """Raise EngineError for a teacher, a judge or a filter that there isn't."""
    settings = distill_settings(recipe)
    if settings.teacher.model is not None:
        model_source(settings.teacher.model.name, root)
    if settings.judge is not None and settings.judge.model is not None:
        model_source(settings.judge.model.name, root)
    if settings.filter is not None:
        parse_metric(settings.filter.metric, root)
    _gap_metric(settings, root)


def prepare(
    recipe: Recipe, folder: RunFolder, root: Path, device: str, tokenizer: "PreTrainedTokenizerBase", reporter: Reporter
) -> Recipe:
    """The recipe with the teacher's answers as its data. Raises EngineError when no answer is good enough."""
    settings = distill_settings(recipe)
    if settings.mode == "logits":
        return recipe
    from rung.engine.training.rows import read_splits, tell

    prompts, held = read_splits(recipe, root, tokenizer)
    tell(prompts, "training", reporter)
    made: dict[str, str] = {}
    summary: dict[str, Any] = {}
    place, obey = folder.path / FOLDER, partial(obey_requests, folder, reporter)
    metric = None if settings.filter is None else parse_metric(settings.filter.metric, root)
    place.mkdir(exist_ok=True)
    for name, source in (("train", prompts), ("validation", held)):
        answers = teacher_answers(
            source.examples, settings, place / f"{name}_answers.jsonl", root, device, recipe.seed, reporter, obey
        )
        judge = None
        if settings.judge is not None:
            judge = partial(
                judge_answers,
                judge=settings.judge,
                file=place / f"{name}_verdicts.jsonl",
                root=root,
                device=device,
                seed=recipe.seed,
                report=reporter.write,
                before_asking=obey,
            )
        found = sort_answers(answers, _scores(answers, metric), settings, judge)
        write_json_lines_atomic(
            place / f"{name}_{DROPPED}", [one.dropped_row() for one in found if one.dropped is not None]
        )
        rows = [one.row() for one in found if one.dropped is None]
        _tell_kept(name, found, settings, reporter)
        write_json_lines_atomic(place / f"{name}.jsonl", rows)
        made[name] = str(place / f"{name}.jsonl")
        summary[name] = {"answers": len(found), "kept": len(rows), "dropped": reasons(found)}
        if name == "validation":
            gap_rows = _gap_rows(answers, _scores(answers, _gap_metric(settings, root)))
            write_json_lines_atomic(place / GAP_FILE, gap_rows)
    judge_words = None if settings.judge is None else f"{settings.judge.words}, by: {settings.judge.criterion}"
    write_json_atomic(place / SUMMARY, {"splits": summary, "judge": judge_words})
    reporter.write(Phase("tokenise"))
    data = recipe.data.model_copy(
        update={"train": made["train"], "validation": made["validation"], "shape": "messages", "columns": {}}
    )
    return recipe.model_copy(update={"data": data})


def report(folder: RunFolder) -> list[str]:
    """The lines about the teacher's answers for report.md; none where the student learned from probabilities."""
    path = folder.path / FOLDER / SUMMARY
    if not path.exists():
        return []
    summary = read_json(path)
    lines = [
        f"- teacher's answers for {name}: {found['kept']} of {found['answers']} kept"
        + (f"; dropped: {'; '.join(found['dropped'])}" if found["dropped"] else "")
        for name, found in summary["splits"].items()
    ]
    return [*lines, f"- judge of the answers: {summary['judge']}"] if summary["judge"] else lines


def load_data(recipe: Recipe, path: Path, tokenizer: "PreTrainedTokenizerBase") -> LoadedData:
    """The teacher's answers, once they are made; before that, and for logits, the prompts."""
    data = recipe.data
    if path.parent.name == FOLDER and path.parent.parent.parent.name == "runs":
        return load_answers(
            path,
            tokenizer,
            shape=data.shape,
            max_length=data.max_length,
            loss_on="last_turn",
            template_args=recipe.model.template_args,
        )
    return load_prompts(
        path,
        tokenizer,
        shape=data.shape,
        columns=data.columns,
        max_prompt_length=data.max_length - answer_room(recipe),
        template_args=recipe.model.template_args,
    )


def build_trainer(job: Job) -> Any:
    """TRL's SFTTrainer on the teacher's answers, or its DistillationTrainer on the student's own."""
    settings = distill_settings(job.recipe)
    return _logits_trainer(job, settings) if settings.mode == "logits" else _answers_trainer(job, settings)


def _answers_trainer(job: Job, settings: DistillSettings) -> Any:
    from trl import SFTConfig

    from rung.engine.training.methods.distill_trainer import AnswerTaughtTrainer

    trainer = construct(
        AnswerTaughtTrainer,
        model=job.model,
        args=trl_arguments(
            job,
            SFTConfig,
            bf16=default_precision(job),
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
            remove_unused_columns=False,
        ),
        train_dataset=encoded_dataset(job.train.encoded),
        eval_dataset=encoded_dataset(job.validation.encoded),
        processing_class=job.tokenizer,
    )
    trainer.data_collator = RowRecorder(trainer.data_collator, ("input_ids", "labels"))
    metric = _gap_metric(settings, job.root)
    if metric is not None:
        trainer.measure_gap(job, metric, settings.teacher.max_new_tokens, _gap_prompts(job))
    return trainer


def _logits_trainer(job: Job, settings: DistillSettings) -> Any:
    from trl import DistillationConfig

    from rung.engine.training.methods.distill_trainer import LogitTaughtTrainer

    assert settings.teacher.model is not None
    _check_vocabulary(job, settings)
    arguments = trl_arguments(
        job,
        DistillationConfig,
        bf16=default_precision(job),
        disable_dropout=True,
        max_completion_length=answer_room(job.recipe),
    )
    teacher, metric = load_model(settings.teacher.model, job.root, job.device), _gap_metric(settings, job.root)
    # Before the trainer wraps the teacher.
    gap_prompts = [] if metric is None else _taught(job, teacher, metric)
    trainer = construct(
        LogitTaughtTrainer,
        model=job.model,
        teacher_model=teacher,
        args=arguments,
        train_dataset=_numbered(0, len(job.train.examples)),
        eval_dataset=_numbered(len(job.train.examples), len(job.train.examples) + len(job.validation.examples)),
        processing_class=job.tokenizer,
    )
    trainer.take_prompts([item.prompt_ids for item in [*job.train.encoded, *job.validation.encoded]])
    if metric is not None:
        trainer.measure_gap(job, metric, answer_room(job.recipe), gap_prompts)
    return trainer


def _taught(job: Job, teacher: Any, metric: MetricSpec) -> list[tuple[Prompted, float]]:
    """The first validation prompts with a reference, each with the score of the teacher's likeliest answer."""
    from rung.engine.generation.greedy import answer_text, greedy_answers

    asked = [
        (prompt, item.prompt_ids)
        for prompt, item in zip(job.validation.examples, job.validation.encoded, strict=True)
        if prompt.reference is not None
    ][:GAP_PROMPTS]
    answers = greedy_answers(teacher, job.tokenizer, [ids for _, ids in asked], answer_room(job.recipe))
    return [
        (prompt, score_answer(metric, answer_text(job.tokenizer, ids), prompt.reference, prompt.fields) or 0.0)
        for (prompt, _), ids in zip(asked, answers, strict=True)
    ]


def _check_vocabulary(job: Job, settings: DistillSettings) -> None:
    assert settings.teacher.model is not None
    teacher = load_tokenizer(settings.teacher.model, job.root)
    if teacher.get_vocab() != job.tokenizer.get_vocab():
        raise EngineError(
            "Teacher and student have different vocabularies: their probabilities can't be compared",
            f"{settings.teacher.model.name}: {len(teacher)} tokens, {job.recipe.model.name}: {len(job.tokenizer)}",
            "use distill: {mode: answers}, or a teacher of the same family",
        )


def _numbered(first: int, end: int) -> "Dataset":
    from datasets import Dataset

    return Dataset.from_dict({"prompt": [str(number) for number in range(first, end)]})


def answer_room(recipe: Recipe) -> int:
    """Tokens kept free for the answer."""
    settings = distill_settings(recipe)
    given = recipe.distill.get("max_completion_length")
    if settings.mode == "logits":
        return int(given) if given else min(DEFAULT_COMPLETION_LENGTH, recipe.data.max_length // 2)
    return min(settings.teacher.max_new_tokens, recipe.data.max_length // 2)


def _gap_metric(settings: DistillSettings, root: Path) -> MetricSpec | None:
    """By what student and teacher are compared; None where the recipe names nothing."""
    filtering = settings.filter.metric if settings.filter is not None else None
    wanted = settings.metric if settings.metric is not None else filtering
    return None if wanted is None else parse_metric(wanted, root)


def _scores(answers: list[Answer], metric: MetricSpec | None) -> list[float | None]:
    if metric is None:
        return [None for _ in answers]
    return [
        None
        if answer.prompt.reference is None
        else score_answer(metric, answer.text, answer.prompt.reference, answer.prompt.fields)
        for answer in answers
    ]


def _tell_kept(name: str, found: Sequence[Sorted], settings: DistillSettings, reporter: Reporter) -> None:
    kept, why = sum(one.dropped is None for one in found), reasons(found)
    if not kept:
        ways = ["raise teacher.max_new_tokens", "take a better teacher"]
        ways += ["lower filter.least"] if settings.filter is not None else []
        ways += ["look at judge.criterion, or take a better judge"] if settings.judge is not None else []
        raise EngineError(
            f"No answer of the teacher's is good enough for {name}",
            "\n".join([f"{len(found)} answers", *why]),
            f"{FOLDER}/{name}_{DROPPED} in the run's folder lists them; {', or '.join(ways)}",
        )
    if kept < len(found):
        reporter.write(
            Warned(
                f"{kept} of {len(found)} of the teacher's answers are kept for {name}",
                "; ".join(why),
                f"{FOLDER}/{name}_{DROPPED} in the run's folder lists the others; more samples a prompt with a "
                "temperature find more good answers",
            )
        )
    unread = sum((one.dropped or "").startswith(NO_VERDICT) for one in found)
    if settings.judge is not None and 2 * unread > sum(one.verdict is not None for one in found):
        reporter.write(
            Warned(
                f"The judge gave no verdict on {unread} of the answers for {name}",
                "",
                "take a judge that follows instructions, or raise judge.max_new_tokens",
            )
        )


def _gap_rows(answers: list[Answer], scores: list[float | None]) -> list[dict[str, Any]]:
    """The first prompts with the mean of the teacher's scores on each."""
    rows: dict[int, dict[str, Any]] = {}
    for answer, score in zip(answers, scores, strict=True):
        if score is None:
            continue
        prompt = answer.prompt
        row = rows.setdefault(
            id(prompt),
            {"prompt": prompt.prompt, "reference": prompt.reference, "fields": prompt.fields, "scores": []},
        )
        row["scores"].append(score)
    return list(rows.values())[:GAP_PROMPTS]


def _gap_prompts(job: Job) -> list[tuple[Prompted, float]]:
    rows = read_json_lines(job.folder.path / FOLDER / GAP_FILE)
    return [
        (
            Prompted(row["prompt"], row["reference"], GAP_FILE, line, row["fields"]),
            sum(row["scores"]) / len(row["scores"]),
        )
        for line, row in enumerate(rows, start=1)
    ]
