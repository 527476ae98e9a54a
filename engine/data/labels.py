"""Labelled answers for KTO: a prompt, one answer, and whether it is a good one. Pairs count as two of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.data.encode import stop_ids
from engine.data.needs import METHOD_SHAPES, PAIRED, wrong_shape
from engine.data.pairs import encode_answers
from engine.data.preferences import pairs_from
from engine.data.read import Problem, Row
from engine.data.report import LoadedData, checked, lines_of, make_report, read_shaped, refusal
from engine.data.shapes import Conversation, Message, convert
from engine.data.template import TurnsRefused

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_GOOD = ("true", "1", "yes", "good")
_BAD = ("false", "0", "no", "bad")


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
    if read.shape not in METHOD_SHAPES["kto"]:
        raise wrong_shape(str(path), read.shape, METHOD_SHAPES["kto"])
    examples, faults = _from_pairs(read.rows) if read.shape in PAIRED else _from_labels(read.rows)
    problems = [*read.problems, *faults]
    kept: list[Labelled] = []
    encoded: list[EncodedLabelled] = []
    long: list[Problem] = []
    lengths: list[int] = []
    for example in examples:
        try:
            item = encode_labelled(example, tokenizer, template_args)
        except TurnsRefused as error:
            problems.append(refusal(example, error))
            continue
        lengths.append(item.full_length)
        if item.full_length > max_length:
            reason = f"prompt and answer have {item.full_length} tokens, max_length is {max_length}"
            long.append(Problem(example.line, "length", reason, example.source))
        else:
            kept.append(example)
            encoded.append(item)
    every = [*problems, *long]
    stops = stop_ids(tokenizer)
    report = make_report(read.shape, read.count, kept, encoded, every, stops, _notes(encoded, long), lengths)
    return LoadedData(kept, encoded, checked(path, report))


def encode_labelled(
    example: Labelled, tokenizer: "PreTrainedTokenizerBase", template_args: dict[str, Any] | None = None
) -> EncodedLabelled:
    """The example's ids."""
    chat = Conversation([*example.prompt, example.answer], example.source, example.line, example.tools)
    prompt, answers = encode_answers([chat], tokenizer, template_args)
    return EncodedLabelled(prompt, answers[0], example.label, example.source, example.line)


def _from_labels(rows: Sequence[Row]) -> tuple[list[Labelled], list[Problem]]:
    chats, problems = convert(rows, "prompt_completion")
    labels = {(row.source, row.line): _label(row.fields.get("label")) for row in rows}
    examples = []
    for chat in chats:
        label = labels[chat.source, chat.line]
        if label is None:
            problems.append(Problem(chat.line, "label", "is neither true nor false", chat.source))
        elif isinstance(chat, Conversation):
            answer = chat.messages[-1]
            examples.append(Labelled(chat.prompt, answer, label, chat.source, chat.line, chat.tools))
    return examples, problems


def _from_pairs(rows: Sequence[Row]) -> tuple[list[Labelled], list[Problem]]:
    pairs, problems = pairs_from(rows)
    examples = [
        Labelled(pair.prompt, answer, label, pair.source, pair.line, pair.tools)
        for pair in pairs
        for answer, label in ((pair.chosen, True), (pair.rejected, False))
    ]
    return examples, problems


def _label(value: Any) -> bool | None:
    word = str(value).strip().lower()
    return True if word in _GOOD else False if word in _BAD else None


def _notes(encoded: Sequence[EncodedLabelled], long: Sequence[Problem]) -> list[str]:
    good = sum(item.label for item in encoded)
    notes = [f"{good} good answers, {len(encoded) - good} bad ones"]
    if long:
        notes.append(f"answers longer than max_length, left out: {len(long)} ({lines_of(long)})")
    return notes
