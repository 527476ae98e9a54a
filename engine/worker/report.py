"""report.md: what a run was, what it gained, and where things lie."""

from engine.events import Finished
from engine.files import write_text_atomic
from engine.methods import method_of
from engine.worker.job import Job
from engine.worker.probe import ForgettingProbe


def write_report(
    job: Job, finished: Finished, evaluations: dict[int, dict[str, float]], probe: ForgettingProbe | None
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
        f"- steps: {finished.step}; artifact: {finished.artifact}/, {finished.chosen_checkpoint}",
        "",
        *_evaluation_lines(recipe.method, evaluations),
    ]
    lines += _forgetting_lines(finished, probe)
    write_text_atomic(job.folder.report, "\n".join(lines) + "\n")


def _evaluation_lines(method: str, evaluations: dict[int, dict[str, float]]) -> list[str]:
    shown = ("loss", *method_of(method).figures)
    names = [name for name in shown if any(name in figures for figures in evaluations.values())]
    lines = ["| step | " + " | ".join(f"validation {name}" for name in names) + " |", "|---" * (len(names) + 1) + "|"]
    for step, figures in sorted(evaluations.items()):
        cells = [f"{figures[name]:.4f}" if name in figures else "" for name in names]
        lines.append(f"| {step} | " + " | ".join(cells) + " |")
    return lines


def _forgetting_lines(finished: Finished, probe: ForgettingProbe | None) -> list[str]:
    if probe is None or probe.first is None:
        return []
    rows = [
        f"| {name} | {probe.first[name]:.4f} | {probe.last[name]:.4f} | {change:+.4f} |"
        for name, change in finished.forgetting.items()
        if change is not None
    ]
    return [
        "",
        "What was forgotten, by the probe:",
        "",
        "| figure | before | after | change |",
        "|---|---|---|---|",
        *rows,
    ]
