"""Preference pairs as token ids, under the same chat template and the same ends of answers as any other training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.engine.core.files import canonical_json
from rung.engine.data.encode import encode, stop_ids
from rung.engine.data.preferences import Pair, pairs_from
from rung.engine.data.read import Problem
from rung.engine.data.report import LoadedData, checked, group_of, lines_of, make_report
from rung.engine.data.shaped import read_shaped
from rung.engine.data.shapes import Conversation
from rung.engine.data.template import TurnsRefused
from rung.engine.recipe.data_needs import PAIRED

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_ANY_LENGTH = 1 << 30


@dataclass(frozen=True)
class EncodedPair:
    """A prompt's ids and those of two answers to it, stop tokens included."""

    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]
    source: str
    line: int
    cut: int = 0
    answer_cut: bool = False

    @property
    def tokens(self) -> int:
        """How many tokens the model reads: the prompt counts twice."""
        return 2 * len(self.prompt_ids) + self.trained_tokens

    @property
    def full_length(self) -> int:
        """Tokens of the prompt with the longer answer."""
        return len(self.prompt_ids) + max(len(self.chosen_ids), len(self.rejected_ids))

    @property
    def trained_tokens(self) -> int:
        """Tokens of both answers."""
        return len(self.chosen_ids) + len(self.rejected_ids)

    @property
    def learned(self) -> list[int]:
        """The preferred answer's tokens."""
        return self.chosen_ids


def load_pairs(
    path: Path,
    tokenizer: "PreTrainedTokenizerBase",
    *,
    shape: str = "auto",
    columns: dict[str, str] | None = None,
    max_length: int = 1024,
    template_args: dict[str, Any] | None = None,
) -> LoadedData:
    """All pairs of `path` that fit into `max_length`, encoded as `EncodedPair`, and the report.

    A pair that is too long is left out and reported: half an answer is no evidence of which one was preferred.
    """
    read = read_shaped(path, shape, columns)
    read.require(path, PAIRED)
    pairs, faults = pairs_from(read.rows)
    problems = [*read.problems, *faults]
    kept: list[Pair] = []
    encoded: list[EncodedPair] = []
    every: list[EncodedPair] = []
    long: list[Problem] = []
    for pair in pairs:
        try:
            item = encode_pair(pair, tokenizer, template_args)
        except TurnsRefused as error:
            problems.append(read.problem(pair, "chat template", error.reason))
            continue
        every.append(item)
        if item.full_length > max_length:
            reason = f"prompt and longer answer have {item.full_length} tokens, max_length is {max_length}"
            long.append(read.problem(pair, "length", reason))
        else:
            kept.append(pair)
            encoded.append(item)
    notes = _notes(pairs, every)
    if long:
        notes.append(f"pairs longer than max_length, left out: {len(long)} ({lines_of(long, read.units)})")
    report = make_report(
        read, kept, encoded, [*problems, *long], stop_ids(tokenizer), notes, [item.full_length for item in every]
    )
    return LoadedData(kept, encoded, checked(path, report))


def encode_pair(
    pair: Pair, tokenizer: "PreTrainedTokenizerBase", template_args: dict[str, Any] | None = None
) -> EncodedPair:
    """The pair's ids."""
    prompt, answers = encode_answers(pair.conversations, tokenizer, template_args)
    return EncodedPair(prompt, answers[0], answers[1], pair.source, pair.line)


def encode_answers(
    conversations: Sequence[Conversation],
    tokenizer: "PreTrainedTokenizerBase",
    template_args: dict[str, Any] | None = None,
) -> tuple[list[int], list[list[int]]]:
    """Ids of the prompt that all the conversations share, and of each one's last answer with its stop token.

    Each conversation is tokenised as a whole, so that tokens are those of a real text; what merges across the end of
    the prompt, or is written differently for different answers, counts as part of the answers.
    """
    items = [encode(chat, tokenizer, _ANY_LENGTH, "last_turn", template_args) for chat in conversations]
    starts = [next((at for at, label in enumerate(item.labels) if label != -100), item.tokens) for item in items]
    ends = [max((at + 1 for at, label in enumerate(item.labels) if label != -100), default=0) for item in items]
    shared = min(starts)
    for item in items[1:]:
        while items[0].input_ids[:shared] != item.input_ids[:shared]:
            shared -= 1
    return items[0].input_ids[:shared], [item.input_ids[shared:end] for item, end in zip(items, ends, strict=True)]


def _notes(pairs: Sequence[Pair], every: Sequence[EncodedPair]) -> list[str]:
    """What is so of all pairs, those that are too long to be used among them."""
    if not every:
        return []
    prompts = len({canonical_json(pair.prompt) for pair in pairs})
    groups = len({group_of(pair) for pair in pairs})
    longer = sum(len(item.chosen_ids) > len(item.rejected_ids) for item in every)
    return [
        f"{len(pairs)} pairs from {prompts} prompts in {groups} conversations, which are not torn apart for validation",
        f"the chosen answer is the longer one in {100 * longer / len(every):.0f} % of the pairs",
    ]
