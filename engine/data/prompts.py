"""Prompts to be answered by the model itself, with whatever a reward or a teacher needs to know about them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.engine.data.encode import encode_prompt
from rung.engine.data.preferences import read_pair
from rung.engine.data.read import Problem, Row
from rung.engine.data.report import LoadedData, checked, lines_of, make_report
from rung.engine.data.shaped import read_labelled, read_shaped
from rung.engine.data.shapes import CONVERTERS, Conversation
from rung.engine.data.template import TurnsRefused
from rung.engine.data.turns import (
    Message,
    RowFault,
    make_turn,
    read_each,
    read_text,
    read_tools,
    read_turns,
    with_system,
)
from rung.engine.recipe.data_needs import METHOD_SHAPES, PAIRED

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_REFERENCES = ("reference", "answer", "solution", "target", "ground_truth")
_PROMPT_FIELDS = ("prompt", "messages", "question", "instruction")
_TURN_FIELDS = ("prompt", "messages", "conversations", "system", "input", "instruction", "question")


@dataclass(frozen=True)
class Prompted:
    """Turns that end in the user's, the wanted answer where there is one, and the row's other columns."""

    prompt: list[Message]
    reference: str | None
    source: str
    line: int
    fields: dict[str, Any] = field(default_factory=dict)
    tools: list[Any] | None = None


@dataclass(frozen=True)
class EncodedPrompt:
    """A prompt's ids, the cue for the answer included."""

    prompt_ids: list[int]
    source: str
    line: int
    cut: int = 0
    answer_cut: bool = False
    trained_tokens: int = 0
    learned: list[int] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        """How many tokens the prompt has."""
        return len(self.prompt_ids)

    @property
    def full_length(self) -> int:
        """The same: nothing is cut."""
        return self.tokens


def load_prompts(
    path: Path,
    tokenizer: "PreTrainedTokenizerBase",
    *,
    shape: str = "auto",
    columns: dict[str, str] | None = None,
    max_prompt_length: int = 1024,
    template_args: dict[str, Any] | None = None,
) -> LoadedData:
    """All prompts of `path` with at most `max_prompt_length` tokens, encoded as `EncodedPrompt`, and the report.

    Of rows that have answers, the turns before the last answer are the prompt and the answer is the reference.
    """
    read = read_shaped(path, shape, columns)
    read.require(path, METHOD_SHAPES["grpo"])
    examples: list[Prompted] = []
    problems = [*read.problems]
    for file in read.files:
        found, faults = prompts_from(file.rows, file.shape)
        examples += found
        problems += faults
    kept: list[Prompted] = []
    encoded: list[EncodedPrompt] = []
    long: list[Problem] = []
    lengths: list[int] = []
    for example in examples:
        try:
            ids = encode_prompt(example.prompt, tokenizer, template_args)
        except TurnsRefused as error:
            problems.append(read.problem(example, "chat template", error.reason))
            continue
        lengths.append(len(ids))
        if len(ids) > max_prompt_length:
            reason = f"the prompt has {len(ids)} tokens, {max_prompt_length} leave room for the answer"
            long.append(read.problem(example, "length", reason))
        else:
            kept.append(example)
            encoded.append(EncodedPrompt(ids, example.source, example.line))
    notes = [f"prompts too long, left out: {len(long)} ({lines_of(long, read.units)})"] if long else []
    report = make_report(read, kept, encoded, [*problems, *long], set(), notes, lengths)
    return LoadedData(kept, encoded, checked(path, report))


def prompts_from(rows: Sequence[Row], shape: str) -> tuple[list[Prompted], list[Problem]]:
    """Prompts in the order of the rows, and a problem for each row that holds none."""
    found, problems = read_each(rows, partial(_prompt_of, shape=shape))
    return [prompt for _, prompt in found], problems


def read_prompt(row: Row) -> Prompted:
    """The prompt of a row that ends in one. Raises RowFault."""
    field = next((name for name in _PROMPT_FIELDS if row.fields.get(name)), "prompt")
    value = row.fields.get(field)
    if isinstance(value, list):
        turns = read_turns(row, field)
    else:
        extra = row.fields.get("input") if field == "instruction" else None
        text = read_text(row, field)
        turns = [make_turn("user", f"{text}\n\n{extra}" if extra else text)]
    prompt = with_system(row, turns)
    if prompt[-1]["role"] not in ("user", "tool"):
        raise RowFault(field, f"ends in {prompt[-1]['role']}'s turn; a prompt ends in the user's")
    name = next((name for name in _REFERENCES if row.fields.get(name) is not None), None)
    reference = None if name is None else str(row.fields[name])
    return Prompted(prompt, reference, row.source, row.line, _rest(row.fields), read_tools(row))


def _prompt_of(row: Row, shape: str) -> Prompted:
    """The prompt of a row of any shape: what stands before its last answer, which is the reference if it is good."""
    if shape == "prompts":
        return read_prompt(row)
    if shape in PAIRED:
        pair = read_pair(row)
        return Prompted(pair.prompt, pair.reference, row.source, row.line, _rest(row.fields), pair.tools)
    chat, good = read_labelled(row) if shape == "kto" else (CONVERTERS[shape](row), True)
    assert isinstance(chat, Conversation)
    reference = chat.reference if good else None
    return Prompted(chat.prompt, reference, row.source, row.line, _rest(row.fields), chat.tools)


def _rest(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in _TURN_FIELDS}
