"""The facts demo: questions about made-up things that only its documents tell of."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from rung.recipes.demos.spec import DemoSpec, chat_row, write_rows
from rung.recipes.pocket.schema import KINDS, Attribute, Kind, capital, question, statement

NUM_DOCUMENTS = 96
NUM_VALIDATION, NUM_TEST = 60, 150
TARGET = 0.9


@dataclass(frozen=True)
class Entry:
    """One fact: the value that one entity has for one attribute."""

    kind: Kind
    entity: str
    attribute: Attribute
    value: str


def write(directory: Path, seed: int = 0, shuffle_documents: bool = False) -> DemoSpec:
    """Writes documents/*.md and data/{train,validation,test}.jsonl; every fact is asked in one split only.

    With `shuffle_documents` the documents state the values of other entities, so that they no longer hold the answers.
    """
    rng = Random(f"facts {seed}")
    entries = _entries(rng)
    stated = _shuffled(rng, entries) if shuffle_documents else entries
    by_entity: dict[str, list[Entry]] = {}
    for entry in stated:
        by_entity.setdefault(entry.entity, []).append(entry)
    for entity, facts in by_entity.items():
        path = directory / "documents" / _file_name(entity)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_document(Random(f"{seed} {entity}"), facts), encoding="utf-8")
    asked = Random(f"questions {seed}")
    rows = [
        chat_row(question(asked, e.attribute, e.entity), e.value, document=_file_name(e.entity))
        for e in asked.sample(entries, len(entries))
    ]
    cuts = {
        "test": rows[:NUM_TEST],
        "validation": rows[NUM_TEST : NUM_TEST + NUM_VALIDATION],
        "train": rows[NUM_TEST + NUM_VALIDATION :],
    }
    for split, part in cuts.items():
        write_rows(directory / "data" / f"{split}.jsonl", part)
    return DemoSpec(
        name="facts",
        kind="facts",
        task="Answer questions about towns, people, animals and things that a collection of notes describes.",
        system_prompt="Answer with the value only.",
        prompts=("Answer briefly.", "You are a helpful assistant. Give a short answer."),
        metric="exact_match",
        target=TARGET,
        train="data/train.jsonl",
        validation="data/validation.jsonl",
        test="data/test.jsonl",
        max_new_tokens=32,
        documents="documents",
        gold="document",
    )


def _entries(rng: Random) -> list[Entry]:
    entries: list[Entry] = []
    entities: set[str] = set()
    while len(entities) < NUM_DOCUMENTS:
        kind = KINDS[len(entities) % len(KINDS)]
        entity = kind.entity(rng, "demo")
        if entity in entities:
            continue
        entities.add(entity)
        entries += [Entry(kind, entity, a, a.value(rng, "demo")) for a in kind.attributes]
    return entries


def _shuffled(rng: Random, entries: Sequence[Entry]) -> list[Entry]:
    """The same facts with the values of each attribute dealt out anew among the entities."""
    values: dict[str, list[str]] = {}
    for entry in entries:
        values.setdefault(f"{entry.kind.name} {entry.attribute.key}", []).append(entry.value)
    for pool in values.values():
        rng.shuffle(pool)
    return [Entry(e.kind, e.entity, e.attribute, values[f"{e.kind.name} {e.attribute.key}"].pop()) for e in entries]


def _document(rng: Random, facts: Sequence[Entry]) -> str:
    title = capital(facts[0].entity.removeprefix("the "))
    lines = [statement(rng, e.attribute, e.entity, e.value) for e in rng.sample(facts, len(facts))]
    return f"# {title}\n\n{' '.join(lines)}\n"


def _file_name(entity: str) -> str:
    return entity.removeprefix("the ").lower().replace(" ", "-") + ".md"
