"""Answers and scores on disk, one line an example, appended as they come, so that a kill loses one batch at most."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rung.engine.core.files import iterate_json_lines


@dataclass(frozen=True)
class Answer:
    """One answer of a candidate. `seconds` is its share of its batch's time; `latency_s` the time it took alone.

    `chunks` are the passages that were in the prompt: id, source and text. `cuts` says what didn't fit into it. Tokens
    are None where an endpoint doesn't count them; `refusal` is why it gave no answer.
    """

    example: str
    prompt_hash: str
    answer: str
    tokens_in: int | None
    tokens_out: int | None
    seconds: float
    stop_reason: str
    chunks: list[dict[str, str]] = field(default_factory=list)
    cuts: list[str] = field(default_factory=list)
    latency_s: float | None = None
    refusal: str = ""

    @property
    def refused(self) -> bool:
        """Whether the service refused to answer; counts as a wrong answer, whatever the metric."""
        return bool(self.refusal) or self.stop_reason == "content_filter"

    @property
    def truncated(self) -> bool:
        """Whether the answer hit the token limit."""
        return self.stop_reason == "length"


class AnswerStore:
    """The answers of one candidate: `answers/ID.jsonl`."""

    def __init__(self, root: Path, candidate: str) -> None:
        self._path = root / "answers" / f"{candidate}.jsonl"
        self.answers: dict[str, Answer] = {}
        for line in iterate_json_lines(self._path):
            self.answers[line["example"]] = _answer(line)

    def add(self, answers: Sequence[Answer]) -> None:
        """Append answers; when this returns they are on disk."""
        append_lines(self._path, [asdict(answer) for answer in answers])
        self.answers |= {answer.example: answer for answer in answers}


class ScoreStore:
    """The scores of one candidate: `scores/ID.jsonl`. `metric` is the key of a metric with all its options."""

    def __init__(self, root: Path, candidate: str) -> None:
        self._path = root / "scores" / f"{candidate}.jsonl"
        self._lines: dict[tuple[str, str], dict[str, Any]] = {}
        for line in iterate_json_lines(self._path):
            self._lines[line["example"], line["metric"]] = line

    def lines(self, metric: str) -> list[dict[str, Any]]:
        """All lines of one metric."""
        return [line for (_, key), line in self._lines.items() if key == metric]

    def get(self, example: str, metric: str) -> Mapping[str, Any] | None:
        """The line of one example and metric, or None."""
        return self._lines.get((example, metric))

    def add(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Append scores; each line holds example, metric, score."""
        plain = [dict(line) for line in lines]
        append_lines(self._path, plain)
        self._lines |= {(line["example"], line["metric"]): line for line in plain}


def append_lines(path: Path, values: Sequence[Any]) -> None:
    """Append one JSON value a line and sync, having cut off a last line that a kill left torn."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n" for value in values)
    with path.open("ab+") as stream:
        _cut_torn_line(stream.fileno())
        stream.write(content.encode())
        stream.flush()
        os.fsync(stream.fileno())


def _cut_torn_line(descriptor: int, block: int = 1 << 16) -> None:
    end = size = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - block)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            if start + found + 1 < size:
                os.ftruncate(descriptor, start + found + 1)
            return
        end = start
    if size:
        os.ftruncate(descriptor, 0)


def _answer(line: Mapping[str, Any]) -> Answer:
    known = {name: line[name] for name in Answer.__dataclass_fields__ if name in line}
    return Answer(**known)
