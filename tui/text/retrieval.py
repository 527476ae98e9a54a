"""Retrieval measured by itself, in lines: for the command and for the wizard's page."""

from collections.abc import Mapping
from typing import Any

from rung.tui.text.words import count, figure, score


def retrieval_lines(found: Mapping[str, Any]) -> list[str]:
    """Hit rates with their intervals, MRR and the time of a question; what a hit was, and what can't be told."""
    lines = [
        f"retrieval alone, on {count(found['rows'])} {found['split']} rows: "
        f"{count(found['chunks'])} chunks of {count(found['files'])} files"
    ]
    if found["questions"]:
        for k, share in found["hit_at"].items():
            low, high = found["intervals"][k]
            interval = f"[{score(low)}, {score(high)}]"
            lines.append(f"hit@{k:<3} {score(share):>5} {interval:<14} {found['hits'][k]} of {found['questions']}")
        milliseconds = 1_000 * found["seconds_per_question"]
        lines.append(f"MRR@{found['depth']}  {score(found['mrr'])} · {figure(milliseconds)} ms a question (median)")
    return [*lines, str(found["explained" if found["questions"] else "described"])]
