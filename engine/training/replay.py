"""Replay: general rows mixed into training, so that what the base knew is practised too.

`self` takes the base model's own answers to general prompts, made before training (the base is then its own teacher of
what it knew); `builtin` takes texts of our own, none of which the probe asks; anything else is a file of rows.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json_lines, write_json_lines_atomic
from rung.engine.data.encode import encode, encode_prompt
from rung.engine.data.hub import local_source
from rung.engine.data.report import LoadedData, load_data
from rung.engine.data.shapes import Conversation, Example, Passage
from rung.engine.generation.greedy import answer_text, greedy_answers
from rung.engine.jobs.events import Phase, Warned
from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.reporter import Reporter
from rung.engine.recipe.schema import DataSettings, Recipe

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

FOLDER = Path(__file__).with_name("probe")
METHODS = ("sft", "cpt", "distill")
SELF_ANSWER_TOKENS = 96


def with_replay(
    train: LoadedData,
    recipe: Recipe,
    root: Path,
    folder: RunFolder,
    tokenizer: "PreTrainedTokenizerBase",
    model: "PreTrainedModel",
    reporter: Reporter,
) -> LoadedData:
    """The training data with the recipe's share of replayed rows; unchanged where it wants none."""
    settings = recipe.data.replay
    if settings.source is None or settings.ratio == 0.0:
        return train
    if recipe.method not in METHODS:
        raise EngineError(
            f"data.replay does not go with {recipe.method}", hint=f"methods that take it: {', '.join(METHODS)}"
        )
    wanted = max(1, round(len(train.encoded) * settings.ratio / (1.0 - settings.ratio)))
    pool = _pool(settings.source, recipe, root, folder, tokenizer, model, reporter)
    rows = pick(pool, wanted, recipe.seed)
    encoded = [encode(row, tokenizer, recipe.data.max_length, "assistant", recipe.model.template_args) for row in rows]
    if len(pool) < wanted:
        said = f"{len(pool)} rows of {settings.source} for {wanted} places: they repeat"
        reporter.write(Warned("The replay set is small", said, "name a larger one in data.replay.source"))
    report = replace(
        train.report,
        tokens=train.report.tokens + sum(len(item.input_ids) for item in encoded),
        trained_tokens=train.report.trained_tokens + sum(item.trained_tokens for item in encoded),
        notes=[*train.report.notes, f"{len(encoded)} replayed rows of {settings.source} mixed in"],
    )
    return LoadedData([*train.examples, *rows], [*train.encoded, *encoded], report)


def pick(pool: Sequence[Example], wanted: int, seed: int) -> list[Example]:
    """`wanted` rows of the pool in random order; each is taken once before any is taken twice."""
    chance = random.Random(seed)
    picked: list[Example] = []
    while len(picked) < wanted:
        picked += chance.sample(list(pool), min(len(pool), wanted - len(picked)))
    return picked


def _pool(
    source: str,
    recipe: Recipe,
    root: Path,
    folder: RunFolder,
    tokenizer: "PreTrainedTokenizerBase",
    model: "PreTrainedModel",
    reporter: Reporter,
) -> list[Example]:
    if source == "builtin":
        texts = (FOLDER / "replay_passages.txt").read_text(encoding="utf-8").split("\n\n")
        return [Passage(text.strip(), "builtin replay", number) for number, text in enumerate(texts, start=1)]
    if source == "self":
        return list(_own_answers(folder, tokenizer, model, recipe.model.template_args, reporter))
    data = recipe.data
    path = local_source(source, root, DataSettings(train=source))
    loaded = load_data(path, tokenizer, max_length=data.max_length, template_args=recipe.model.template_args)
    return loaded.examples


def _own_answers(
    folder: RunFolder,
    tokenizer: "PreTrainedTokenizerBase",
    model: "PreTrainedModel",
    template_args: dict[str, Any],
    reporter: Reporter,
) -> list[Conversation]:
    """The base's greedy answers, kept beside the run so that a resumed run trains on the same rows."""
    path = folder.path / "replay.jsonl"
    if not path.exists():
        prompts = (FOLDER / "replay_prompts.txt").read_text(encoding="utf-8").splitlines()
        reporter.write(Phase("load", 0, len(prompts), "replay answers"))
        turns = [[{"role": "user", "content": prompt}] for prompt in prompts]
        ids = [encode_prompt(messages, tokenizer, template_args) for messages in turns]
        answers = [
            answer_text(tokenizer, answer) for answer in greedy_answers(model, tokenizer, ids, SELF_ANSWER_TOKENS)
        ]
        rows = [
            {"messages": [*messages, {"role": "assistant", "content": answer}]}
            for messages, answer in zip(turns, answers, strict=True)
            if answer
        ]
        write_json_lines_atomic(path, rows)
    kept = read_json_lines(path)
    if not kept:
        raise EngineError(
            "The base model gave no answer to replay", "data.replay.source: self", "use builtin or a file"
        )
    return [Conversation(row["messages"], str(path), number) for number, row in enumerate(kept, start=1)]
