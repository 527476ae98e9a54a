"""What a demo's data are: everything that rung.yaml needs to know of them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Want = Literal["facts", "format", "preference"]


@dataclass(frozen=True)
class DemoSpec:
    """The files a demo has written, relative to its folder, and the settings that go with them.

    `metric` is a metric's name or `file.py:function`; `gold` the column that names the document with the answer;
    `prompts` further system prompts that the prompt rung may try; `own_prompts` prompts without answers, which
    a model answers itself in training.
    """

    name: str
    kind: Want
    task: str
    system_prompt: str
    prompts: tuple[str, ...]
    metric: str
    target: float
    train: str
    validation: str
    test: str
    max_new_tokens: int
    documents: str | None = None
    gold: str | None = None
    own_prompts: str | None = None


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """One JSON object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def chat_row(question: str, answer: str, **columns: Any) -> dict[str, Any]:
    """A row of one question and its answer as chat messages, with further columns."""
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": turns, **columns}
