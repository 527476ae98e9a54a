"""What learning from judgments has brought: a reward model's accuracy, and each policy against the model as it was."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rung.engine.jobs.folder import RunFolder, list_runs
from rung.engine.jobs.reader import read_run
from rung.engine.ladder.answers import AnswerStore
from rung.engine.ladder.bench import Bench
from rung.engine.ladder.entries import find_entry, read_entries
from rung.engine.ladder.scoring import kept_scores
from rung.engine.ladder.spec import declared_spec
from rung.engine.stats.intervals import wilson

LEARNS_FROM_JUDGMENTS = ("dpo", "kto", "orpo", "reward", "grpo", "rloo", "constitution")


def gains(bench: Bench, board: Mapping[str, Any], runs: Sequence[str]) -> list[dict[str, Any]]:
    """One entry for each run that learned from judgments, in the order of the runs; [] where none did.

    A reward model's: `accuracy` on the validation pairs, and `agreement`, the share of the held-out prompts whose
    answers, by the model as it was and by a policy, it puts in the order of the project's metric. A policy's:
    `win_rate` over the model as it was (of the prompts whose two answers score differently, the share it wins) and
    `gain`, its mean score minus that model's. Every share has its interval.
    """
    there = {folder.id: folder for folder in list_runs(bench.root)}  # a run may have been removed since it was measured
    folders = [there[run] for run in runs if run in there and there[run].method in LEARNS_FROM_JUDGMENTS]
    rows = {row["run"]: row for row in board["scoreboard"] if row["run"] is not None}
    found: list[dict[str, Any]] = []
    for folder in folders:
        known: dict[str, Any] = {"run": folder.id, "method": folder.method}
        if folder.method == "reward":
            policies = [rows[other.id]["candidate"] for other in folders if other.id in rows]
            known |= {"accuracy": _accuracy(folder), "agreement": _agreement(bench, folder, policies)}
        elif folder.id in rows:
            known |= _against_base(bench, board, rows[folder.id])
        found.append(known)
    return found


def _accuracy(folder: RunFolder) -> dict[str, Any] | None:
    metrics = read_run(folder)[0].result.get("metrics") or {}
    accuracy, n = metrics.get("accuracy"), int(metrics.get("n") or 0)
    return _estimate(round(accuracy * n), n) if accuracy is not None and n else None


def _against_base(bench: Bench, board: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    base = _base(bench)
    pair = next((pair for pair in board["pairs"] if {pair["a"], pair["b"]} == {base, row["candidate"]}), None)
    if base is None or pair is None:
        return {}
    forward = pair["a"] == row["candidate"]
    wins, losses = (pair["a_better"], pair["b_better"]) if forward else (pair["b_better"], pair["a_better"])
    sign = 1.0 if forward else -1.0
    ends = sorted((sign * pair["low"], sign * pair["high"]))  # + 0.0 below: no minus zero
    return {
        "base": base,
        "wins": wins,
        "losses": losses,
        "ties": pair["n"] - wins - losses,
        "win_rate": _estimate(wins, wins + losses) if wins + losses else None,
        "gain": {"score": sign * pair["difference"] + 0.0, "low": ends[0] + 0.0, "high": ends[1] + 0.0, "n": pair["n"]},
    }


def _base(bench: Bench) -> str | None:
    """The candidate that is the project's model asked plainly."""
    plain = declared_spec(bench.project)
    return next((entry.candidate for entry in read_entries(bench.root) if entry.spec == plain), None)


def _agreement(bench: Bench, folder: RunFolder, policies: Sequence[str]) -> dict[str, Any] | None:
    """Over the held-out prompts, one pair of answers each: the first policy's that scores otherwise than the base's."""
    from rung.engine.models.load import pick_device
    from rung.engine.training.rewards.model import load_reward_run

    base = _base(bench)
    if base is None or not policies:
        return None
    before, *after = [_answered(bench, name) for name in (base, *policies)]
    turns = []
    for example in bench.held_out:
        old = before[example.id]
        new = next((given[example.id] for given in after if given[example.id].score != old.score), None)
        if new is not None:
            better, worse = (new, old) if new.score > old.score else (old, new)
            turns += [[*example.messages, {"role": "assistant", "content": one.text}] for one in (better, worse)]
    if not turns:
        return None
    bench.answerer.models.unload()
    given = load_reward_run(folder, bench.root, pick_device()).score(turns)
    return _estimate(sum(a > b for a, b in zip(given[::2], given[1::2], strict=True)), len(turns) // 2)


@dataclass(frozen=True)
class _Scored:
    """An answer with its score, turned so that more is better."""

    text: str
    score: float


def _answered(bench: Bench, candidate: str) -> dict[str, _Scored]:
    """The candidate's held-out answers by example; one without a score is as bad as can be."""
    spec = find_entry(bench.root, candidate).spec
    answers = AnswerStore(bench.root, candidate).answers
    scores = kept_scores(bench.root, bench.project, candidate, spec, bench.metric, bench.held_out, answers) or []
    sign = 1.0 if bench.metric.more_is_better else -1.0
    return {
        one.example: _Scored(answers[one.example].answer, -math.inf if one.score is None else sign * one.score)
        for one in scores
    }


def _estimate(right: int, n: int) -> dict[str, Any]:
    low, high = wilson(right, n)
    return {"score": right / n, "low": low, "high": high, "n": n, "method": "wilson"}
