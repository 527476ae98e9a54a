"""Prompts to be answered by the model itself, with whatever a reward or a teacher needs to know about them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.data.encode import encode_prompt
from engine.data.needs import METHOD_SHAPES, PAIRED, wrong_shape
from engine.data.preferences import pairs_from
from engine.data.read import Problem, Row
from engine.data.report import LoadedData, checked, lines_of, make_report, read_shaped, refusal
from engine.data.shapes import Conversation, convert
from engine.data.template import TurnsRefused
from engine.data.turns import (
    Message,
    RowFault,
    make_turn,
    read_text,
    read_tools,
    read_turns,
    with_system,
)

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
    if read.shape not in METHOD_SHAPES["grpo"]:
        raise wrong_shape(str(path), read.shape, METHOD_SHAPES["grpo"])
    examples, faults = prompts_from(read.rows, read.shape)
    problems = [*read.problems, *faults]
    kept: list[Prompted] = []
    encoded: list[EncodedPrompt] = []
    long: list[Problem] = []
    lengths: list[int] = []
    for example in examples:
        try:
            ids = encode_prompt(example.prompt, tokenizer, template_args)
        except TurnsRefused as error:
            problems.append(refusal(example, error))
            continue
        lengths.append(len(ids))
        if len(ids) > max_prompt_length:
            reason = f"the prompt has {len(ids)} tokens, {max_prompt_length} leave room for the answer"
            long.append(Problem(example.line, "length", reason, example.source))
        else:
            kept.append(example)
            encoded.append(EncodedPrompt(ids, example.source, example.line))
    notes = [f"prompts too long, left out: {len(long)} ({lines_of(long)})"] if long else []
    report = make_report(read.shape, read.count, kept, encoded, [*problems, *long], set(), notes, lengths)
    return LoadedData(kept, encoded, checked(path, report))


def prompts_from(rows: Sequence[Row], shape: str) -> tuple[list[Prompted], list[Problem]]:
    """Prompts in the order of the rows, and a problem for each row that holds none."""
    fields = {(row.source, row.line): row.fields for row in rows}
    if shape in PAIRED:
        pairs, problems = pairs_from(rows)
        return [
            Prompted(pair.prompt, pair.reference, pair.source, pair.line, _rest(fields[pair.source, pair.line]))
            for pair in pairs
        ], problems
    if shape != "prompts":
        chats, problems = convert(rows, shape)
        return [
            Prompted(
                chat.prompt, chat.reference, chat.source, chat.line, _rest(fields[chat.source, chat.line]), chat.tools
            )
            for chat in chats
            if isinstance(chat, Conversation)
        ], problems
    examples: list[Prompted] = []
    problems = []
    for row in rows:
        try:
            examples.append(_prompted(row))
        except RowFault as fault:
            problems.append(Problem(row.line, fault.field, fault.reason, row.source))
    return examples, problems


def _prompted(row: Row) -> Prompted:
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


def _rest(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in _TURN_FIELDS}
