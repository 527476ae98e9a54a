"""Labelled answers for KTO: a prompt, one answer, and whether it is a good one. Pairs count as two of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.engine.data.encode import stop_ids
from rung.engine.data.pairs import encode_answers
from rung.engine.data.preferences import read_pair
from rung.engine.data.read import Problem, Row
from rung.engine.data.report import LoadedData, checked, lines_of, make_report
from rung.engine.data.shaped import read_labelled, read_shaped
from rung.engine.data.shapes import Conversation, Message
from rung.engine.data.template import TurnsRefused
from rung.engine.data.turns import read_each
from rung.engine.recipe.data_needs import METHOD_SHAPES, PAIRED

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Labelled:
    """Turns that end in the user's, an answer, and whether it is wanted."""

    prompt: list[Message]
    answer: Message
    label: bool
    source: str
    line: int
    tools: list[Any] | None = None

    @property
    def reference(self) -> str | None:
        """The answer, where it is a good one."""
        return str(self.answer["content"]) if self.label else None


@dataclass(frozen=True)
class EncodedLabelled:
    """Ids of a prompt and of an answer to it, stop token included, with its label."""

    prompt_ids: list[int]
    answer_ids: list[int]
    label: bool
    source: str
    line: int
    cut: int = 0
    answer_cut: bool = False

    @property
    def tokens(self) -> int:
        """How many tokens the model reads."""
        return len(self.prompt_ids) + len(self.answer_ids)

    @property
    def full_length(self) -> int:
        """The same: nothing is cut."""
        return self.tokens

    @property
    def trained_tokens(self) -> int:
        """Tokens of the answer."""
        return len(self.answer_ids)

    @property
    def learned(self) -> list[int]:
        """The tokens of a wanted answer."""
        return self.answer_ids if self.label else []


def load_labels(
    path: Path,
    tokenizer: "PreTrainedTokenizerBase",
    *,
    shape: str = "auto",
    columns: dict[str, str] | None = None,
    max_length: int = 1024,
    template_args: dict[str, Any] | None = None,
) -> LoadedData:
    """All labelled answers of `path` that fit into `max_length`, encoded as `EncodedLabelled`, and the report."""
    read = read_shaped(path, shape, columns)
    read.require(path, METHOD_SHAPES["kto"])
    examples: list[Labelled] = []
    problems = [*read.problems]
    for file in read.files:
        found, faults = labels_from(file.rows, file.shape)
        examples += found
        problems += faults
    kept: list[Labelled] = []
    encoded: list[EncodedLabelled] = []
    long: list[Problem] = []
    lengths: list[int] = []
    for example in examples:
        try:
            item = encode_labelled(example, tokenizer, template_args)
        except TurnsRefused as error:
            problems.append(read.problem(example, "chat template", error.reason))
            continue
        lengths.append(item.full_length)
        if item.full_length > max_length:
            reason = f"prompt and answer have {item.full_length} tokens, max_length is {max_length}"
            long.append(read.problem(example, "length", reason))
        else:
            kept.append(example)
            encoded.append(item)
    every = [*problems, *long]
    stops = stop_ids(tokenizer)
    notes = [_balance(encoded)]
    if long:
        notes.append(f"answers longer than max_length, left out: {len(long)} ({lines_of(long, read.units)})")
    report = make_report(read, kept, encoded, every, stops, notes, lengths)
    return LoadedData(kept, encoded, checked(path, report))


def encode_labelled(
    example: Labelled, tokenizer: "PreTrainedTokenizerBase", template_args: dict[str, Any] | None = None
) -> EncodedLabelled:
    """The example's ids."""
    chat = Conversation([*example.prompt, example.answer], example.source, example.line, example.tools)
    prompt, answers = encode_answers([chat], tokenizer, template_args)
    return EncodedLabelled(prompt, answers[0], example.label, example.source, example.line)


def labels_from(rows: Sequence[Row], shape: str) -> tuple[list[Labelled], list[Problem]]:
    """Labelled answers in the order of the rows, two of a pair, and a problem for each row that has none."""
    found, problems = read_each(rows, _read_pair if shape in PAIRED else _read_label)
    return [example for _, examples in found for example in examples], problems


def _read_label(row: Row) -> list[Labelled]:
    chat, good = read_labelled(row)
    return [Labelled(chat.prompt, chat.messages[-1], good, chat.source, chat.line, chat.tools)]


def _read_pair(row: Row) -> list[Labelled]:
    pair = read_pair(row)
    return [
        Labelled(pair.prompt, answer, good, pair.source, pair.line, pair.tools)
        for answer, good in ((pair.chosen, True), (pair.rejected, False))
    ]


def _balance(encoded: Sequence[EncodedLabelled]) -> str:
    good = sum(item.label for item in encoded)
    return f"{good} good answers, {len(encoded) - good} bad ones"
