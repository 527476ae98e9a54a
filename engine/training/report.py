"""report.md: what a run was, what it gained, and where things lie."""

from dataclasses import asdict

from rung.engine.core.files import write_text_atomic
from rung.engine.jobs.events import Finished
from rung.engine.training.job import Job
from rung.engine.training.methods import method_of, report_of
from rung.engine.training.methods.outcome import Outcome
from rung.engine.training.probe.forgot import forgot, forgot_words, is_at_chance
from rung.engine.training.probe.meter import ForgettingProbe

_NAMES = {
    "option_accuracy": "questions, by the options' texts",
    "letter_accuracy": "questions, by the letter asked for",
}


def write_report(
    job: Job,
    finished: Finished,
    outcome: Outcome,
    evaluations: dict[int, dict[str, float]],
    probe: ForgettingProbe | None,
) -> None:
    """Write the run's report as Markdown."""
    recipe, data = job.recipe, job.train.report
    trained = sum(p.numel() for p in job.model.parameters() if p.requires_grad)
    total = sum(p.numel() for p in job.model.parameters())
    lines = [
        f"# {job.folder.id}",
        "",
        f"- method: {recipe.method}; model: {recipe.model.name}; "
        + (f"{recipe.adapter.kind} r={recipe.adapter.r}" if recipe.adapter else "all weights"),
        f"- trained weights: {trained:,} of {total:,} ({100 * trained / total:.2f} %)",
        f"- rows: {data.used} used for training of {data.rows} read; "
        f"{data.trained_tokens:,} trained tokens of {data.tokens:,}; {data.truncated} cut "
        f"at {recipe.data.max_length}; {len(data.problems)} not usable",
        *report_of(recipe, job.folder),
        f"- steps: {finished.step}; artifact: {finished.artifact}/, {finished.chosen_checkpoint}",
        "",
        *_evaluation_lines(recipe.method, evaluations),
    ]
    lines += _outcome_lines(outcome)
    lines += _forgetting_lines(finished, probe)
    write_text_atomic(job.folder.report, "\n".join(lines) + "\n")


def _evaluation_lines(method: str, evaluations: dict[int, dict[str, float]]) -> list[str]:
    known = method_of(method)
    shown = dict.fromkeys((known.best, *known.figures))  # A reward's loss says nothing: it is 0 by its making.
    names = [name for name in shown if any(name in figures for figures in evaluations.values())]
    lines = ["| step | " + " | ".join(f"validation {name}" for name in names) + " |", "|---" * (len(names) + 1) + "|"]
    for step, figures in sorted(evaluations.items()):
        cells = [f"{figures[name]:.4f}" if name in figures else "" for name in names]
        lines.append(f"| {step} | " + " | ".join(cells) + " |")
    return lines


def _outcome_lines(outcome: Outcome) -> list[str]:
    """What the validation rows say of before and after, and whether that is worse."""
    if not outcome.words:
        return []
    if outcome.worse:
        return ["", f"This run {outcome.worse}.", "", f"{outcome.words[0].upper()}{outcome.words[1:]}."]
    return ["", f"{'Gained' if outcome.better else 'Nothing gained'}: {outcome.words}."]


def _forgetting_lines(finished: Finished, probe: ForgettingProbe | None) -> list[str]:
    if probe is None or probe.first is None:
        return []
    intervals = finished.forgetting_intervals
    first, last = ({name: _cell(probe, name, value) for name, value in f.items()} for f in (probe.first, probe.last))
    rows = [
        f"| {_NAMES.get(name, name)} | {first[name]} | {last[name]} | {change:+.4f} | {_range(intervals.get(name))} |"
        for name, change in finished.forgetting.items()
        if change is not None
    ]
    return [
        "",
        _forgotten(finished),
        "",
        "| probe | before | after | change | 95 % interval of the change |",
        "|---|---|---|---|---|",
        *rows,
    ]


def _forgotten(finished: Finished) -> str:
    """Whether general text is predicted worse, or known less of, by the interval of the change where there is one."""
    result = asdict(finished)
    known, words = forgot(result), forgot_words(result)
    if known is None:
        return ""
    low, high, quiz = known["low"] or 0.0, known["high"] or 0.0, known["quiz"]
    if low > 0 or (quiz and quiz["high"] is not None and quiz["high"] < 0):
        return f"Forgotten: {words}."
    if high < 0:
        return f"Nothing forgotten: {words}."
    return f"No forgetting shown: {words}."


def _cell(probe: ForgettingProbe, name: str, value: float) -> str:
    """The figure, and whether it can't be told from guessing."""
    guessed = name in _NAMES and is_at_chance(value, int(probe.last["questions"]), probe.last.get("chance"))
    return f"{value:.4f}{' (at chance)' if guessed else ''}"


def _range(interval: list[float] | None) -> str:
    return f"{interval[0]:+.4f} to {interval[1]:+.4f}" if interval else ""
