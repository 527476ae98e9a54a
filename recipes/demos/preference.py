"""The preference demo: pairs of answers of which people of one house prefer the courteous, brief and true one."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

from rung.recipes.demos import oracle
from rung.recipes.demos.spec import DemoSpec, write_rows
from rung.recipes.pocket import talk, world
from rung.recipes.pocket.schema import capital

NUM_TRAIN, NUM_VALIDATION, NUM_TEST, NUM_OWN = 300, 60, 120, 200
TARGET = 0.85


def write(directory: Path, seed: int = 0) -> DemoSpec:
    """Writes pairs to data/{train,validation}.jsonl, prompts to data/{prompts,test}.jsonl, the judge to oracle.py.

    The pairs, the validation pairs and the held-out prompts are about different entities of the pocket model's world.
    """
    rng = Random(f"preference {seed}")
    entities = sorted({fact.entity for fact in world.facts()})
    rng.shuffle(entities)
    parts = {"train": entities[:48], "validation": entities[48:58], "test": entities[58:]}
    train = [_pair(rng, rng.choice(parts["train"])) for _ in range(NUM_TRAIN)]
    validation = [_pair(rng, rng.choice(parts["validation"])) for _ in range(NUM_VALIDATION)]
    write_rows(directory / "data" / "train.jsonl", train)
    write_rows(directory / "data" / "validation.jsonl", validation)
    write_rows(directory / "data" / "test.jsonl", _prompts(rng, parts["test"], NUM_TEST))
    own = _prompts(rng, parts["train"], NUM_OWN)
    write_rows(directory / "data" / "prompts.jsonl", [{"prompt": row["messages"][:1]} for row in own])
    shutil.copyfile(oracle.__file__, directory / "oracle.py")
    return DemoSpec(
        name="preference",
        kind="preference",
        task="Tell about towns, people, animals and things the way this house likes it.",
        system_prompt="",
        prompts=("Be polite.", "You are a polite assistant."),
        metric="oracle.py:score",
        target=TARGET,
        train="data/train.jsonl",
        validation="data/validation.jsonl",
        test="data/test.jsonl",
        own_prompts="data/prompts.jsonl",
        max_new_tokens=96,
    )


def true_sentences(entity: str) -> list[str]:
    """Every sentence that states a fact of the entity, in each of its forms, by name and by pronoun."""
    made = []
    for fact in world.facts_of(entity):
        for form in fact.attribute.says:
            for subject in (entity, "it"):
                made.append(capital(form.replace("{e}", subject).replace("{v}", fact.value)))
    return sorted(set(made))


def _pair(rng: Random, entity: str) -> dict[str, Any]:
    request = rng.choice(talk.ABOUT).replace("{x}", entity)
    chosen = f"{rng.choice(oracle.COURTEOUS)} {talk.sentences_about(rng, entity, rng.choice((1, 2)))}"
    rejected = _rejected(rng, entity)
    return {
        "prompt": _user(request),
        "chosen": _assistant(chosen),
        "rejected": _assistant(rejected),
        "true": true_sentences(entity),  # what the judge in oracle.py goes by
    }


def _rejected(rng: Random, entity: str) -> str:
    """Curt, or long-winded, or courteous but untrue, or courteous and nothing else."""
    fault = rng.choice(("curt", "bare", "long", "untrue", "empty"))
    if fault == "empty":
        return " ".join(rng.sample(oracle.COURTEOUS, rng.choice((1, 1, 2))))
    if fault == "curt":
        return f"{rng.choice(talk.CURT)} {talk.sentences_about(rng, entity, rng.choice((1, 2)))}"
    if fault == "bare":
        return talk.sentences_about(rng, entity, rng.choice((1, 2, 3)))
    if fault == "long":
        opening = f"{rng.choice(oracle.COURTEOUS)} " if rng.random() < 0.5 else ""
        return opening + talk.sentences_about(rng, entity, rng.choice((4, 5)))
    fact = rng.choice(world.facts_of(entity))
    wrong = world.wrong_values(rng, fact, 1)[0]
    says = rng.choice(fact.attribute.says).replace("{e}", entity).replace("{v}", wrong)
    return f"{rng.choice(oracle.COURTEOUS)} {capital(says)}"


def _prompts(rng: Random, entities: Iterable[str], most: int) -> list[dict[str, Any]]:
    every = [(entity, form) for entity in entities for form in talk.ABOUT]
    rows = []
    for entity, form in rng.sample(every, min(most, len(every))):
        reference = f"{oracle.COURTEOUS[0]} {talk.sentences_about(rng, entity, 2)}"
        turns = [*_user(form.replace("{x}", entity)), *_assistant(reference)]
        rows.append({"messages": turns, "entity": entity, "true": true_sentences(entity)})
    return rows


def _user(content: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": content}]


def _assistant(content: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": content}]
