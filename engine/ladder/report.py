"""report.md of a climb: the verdict and its reasons, the scoreboard with intervals drawn as text, the pairs."""

from collections.abc import Mapping, Sequence
from typing import Any

from rung.engine.ladder.advice_facts import Advice
from rung.engine.ladder.board_words import headline_of, held_out_words
from rung.engine.ladder.break_even import break_even_lines
from rung.engine.ladder.climb_record import ClimbRecord
from rung.engine.project.schema import ProjectSettings
from rung.engine.training.probe.forgot import forgot_words

BAR_WIDTH = 40


def climb_report(
    project: ProjectSettings, board: Mapping[str, Any], record: ClimbRecord, advice: Sequence[Advice]
) -> str:
    """The report as Markdown."""
    verdict = board["verdict"]
    rows: Sequence[Mapping[str, Any]] = board["scoreboard"]
    lines = [
        f"# {project.name}: {headline_of(verdict)}{_label(verdict, rows)}",
        "",
        *(f"- {reason}" for reason in verdict["reasons"]),
        "",
        f"Measured by {board['metric']} on {held_out_words(board)}{_origin(project)}; intervals are 95 %.",
        "",
        *_judge(board),
        *_refused(rows),
        *_table(rows),
        "",
        "```",
        *_bars(rows, board.get("target")),
        "```",
    ]
    if board["pairs"]:
        lines += ["", *_pairs(board["pairs"], {row["candidate"]: f"{row['rung']} ({row['label']})" for row in rows})]
    if returns := break_even_lines(board):
        lines += ["", "## When is the training paid back?", "", *(f"- {line}." for line in returns)]
    if record.retrieval:
        lines += ["", "## Retrieval by itself, on the validation rows", "", _retrieval(record.retrieval)]
    if record.learning_curve:
        lines += ["", "## Do more training rows help?", "", "```", *_learning_curve(record.learning_curve), "```"]
    if board.get("gains"):
        lines += ["", "## What judgments have taught", "", *(f"- {line}." for line in gain_lines(board["gains"]))]
    if advice:
        lines += ["", "## Advice", "", *(f"- {one.text} ({one.evidence})" for one in advice)]
    if record.failed:
        lines += ["", "## Failed", "", *(f"- {rung}: {why}" for rung, why in record.failed.items())]
    if record.skipped:
        lines += ["", "## Not measured", "", *(f"- {rung}: {why}" for rung, why in record.skipped.items())]
    spent = f"{record.seconds / 60:.1f} minutes, {record.tokens:,} tokens"
    lines += ["", f"Spent: {spent}. Runs: {', '.join(record.runs) or 'none'}."]
    return "\n".join(lines) + "\n"


def _origin(project: ProjectSettings) -> str:
    """Which files the rows were split from; nothing where the person split them."""
    sources = project.data.sources
    return f" (split from {', '.join(sources)})" if sources else ""


def _judge(board: Mapping[str, Any]) -> list[str]:
    """How far the judge is to be trusted, and how it saw each candidate; nothing where no judge scores."""
    if not board.get("judge"):
        return []
    seen = [
        f"- {row['rung']} ({row['label']}): {row['judge']['words']}." for row in board["scoreboard"] if row.get("judge")
    ]
    return [judge_sentence(str(board["judge"])), *(["", *seen] if seen else []), ""]


def _refused(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """How many rows each endpoint refused to answer; nothing where none did."""
    said = [
        f"- {row['rung']} ({row['label']}): {row['refused']} of {row['n']} rows were refused, and count as wrong."
        for row in rows
        if row.get("refused")
    ]
    return [*said, ""] if said else []


def judge_sentence(words: str) -> str:
    """`The judge is unchecked: …` or `The judge agrees with 90% of your 40 labels …`, from the scoreboard's words."""
    return f"The judge {'is ' if words.startswith('unchecked') else ''}{words}."


def gain_lines(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """What `rung.engine.ladder.gains` found, in sentences, one a figure."""
    lines = []
    for known in found:
        name = known["run"].split("-", 2)[-1]  # dpo-69d5, as rung takes it too
        if known.get("accuracy"):
            lines.append(f"{name} prefers the chosen answer in {_share(known['accuracy'])} validation pairs")
        if known.get("agreement"):
            lines.append(
                f"{name} orders two answers as the metric does for {_share(known['agreement'])} held-out prompts"
            )
        if known.get("win_rate"):
            lines.append(
                f"{name} answers better than the model as it was in {_share(known['win_rate'])} held-out prompts whose "
                f"answers differ in score ({known['ties']} do not)"
            )
        if known.get("gain"):
            gain = known["gain"]
            lines.append(
                f"{name} gains {gain['score']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}] over the model as it was"
            )
    return lines


def _label(verdict: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    label = next((row["label"] for row in rows if row["candidate"] == verdict["candidate"]), None)
    return f" ({label})" if label is not None else ""


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    header = [
        "candidate",
        "score",
        "95 % interval",
        "n",
        "tokens in / out",
        "latency (s)",
        "cost",
        "cut off",
        "forgot",
    ]
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    for row in rows:
        cells = [
            f"{row['rung']}: {row['label']}" + (f" (not counted: {row['leaked']})" if row.get("leaked") else ""),
            f"{row['score']:.3f}",
            f"{row['low']:.3f} to {row['high']:.3f}",
            str(row["n"]),
            f"{_or_dash(row['tokens_in'], '{:.0f}')} / {_or_dash(row['tokens_out'], '{:.0f}')}",
            _or_dash(row["latency_s"], "{:.2f}"),
            _or_dash(row["cost"], "{:.6f}"),
            f"{row['truncated']}",
            forgot_words(row) or "",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _bars(rows: Sequence[Mapping[str, Any]], target: float | None) -> list[str]:
    """One line a candidate: its interval on a common scale, ● the score, ┊ the target."""
    if not rows:
        return []
    values = [value for row in rows for value in (row["low"], row["high"])] + ([] if target is None else [target])
    low, high = min(0.0, *values), max(1.0, *values)
    lines = []
    for row in rows:
        places = [" "] * (BAR_WIDTH + 1)
        if target is not None:
            places[_place(target, low, high)] = "┊"
        first, last = _place(row["low"], low, high), _place(row["high"], low, high)
        for place in range(first, last + 1):
            places[place] = "─"
        places[first], places[last] = "├", "┤"
        places[_place(row["score"], low, high)] = "●"
        lines.append(f"{row['rung']:<7} {row['score']:6.3f} {''.join(places)} {row['label']}")
    return [*lines, f"{'':<14} {f'{low:g}':<{BAR_WIDTH}}{high:g}"]


def _place(value: float, low: float, high: float) -> int:
    return round((value - low) / (high - low) * BAR_WIDTH)


def _pairs(pairs: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> list[str]:
    lines = ["| a | b | a − b | 95 % interval | p (corrected) | only a right | only b right |", "|---" * 7 + "|"]
    for pair in pairs:
        lines.append(
            f"| {names[pair['a']]} | {names[pair['b']]} | {pair['difference']:+.3f} | {pair['low']:+.3f} to "
            f"{pair['high']:+.3f} | {pair['p']:.3g} | {pair['a_better']} | {pair['b_better']} |"
        )
    return lines


def _retrieval(found: Mapping[str, Any]) -> str:
    lines = [str(found["described"]) + "."]
    if not found["questions"]:
        return " ".join(lines)
    if (cut := found.get("retrieved", found["found"]) - found["found"]) > 0:
        lines.append(f"For {cut} questions it was found, and did not fit into the prompt.")
    lines.append(
        f"The right passage was in the prompt for {found['found']} of {found['questions']} questions; "
        f"{found['right_when_found']} of those were answered right."
    )
    if found["right_with_gold_alone"] is not None:
        wrong = found["found"] - found["right_when_found"]
        lines.append(
            f"Of the {wrong} others, {found['right_with_gold_alone']} become right when only the right passage is "
            "shown: those were led astray by the other passages. For the rest, reading or the answer's form is the "
            "problem."
        )
    return " ".join(lines)


def _learning_curve(curve: Sequence[Sequence[float]]) -> list[str]:
    """One line a number of training rows: its score on the validation rows, drawn on a common scale."""
    scores = [score for _, score in curve]
    low, high = min(0.0, *scores), max(1.0, *scores)
    return [f"{int(rows):>9,} rows {score:6.3f} {'█' * _place(score, low, high)}" for rows, score in curve]


def _or_dash(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)


def _share(value: Mapping[str, Any]) -> str:
    return f"{value['score']:.3f} [{value['low']:.3f}, {value['high']:.3f}] of {value['n']}"
