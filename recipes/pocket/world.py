"""The one fixed world the pocket model knows by heart: towns, people, animals and wares, with their facts."""

from dataclasses import dataclass
from functools import cache
from random import Random

from rung.recipes.pocket.schema import (
    ANIMAL,
    PERSON,
    TOWN,
    WARE,
    Attribute,
    Kind,
    capital,
    question,
    sentence,
    statement,
)

WORLD_SEED = 7
TOWNS = (
    "Aldermoor Brinfall Corvane Dunmarsh Elsgate Fernhollow Greywick Harrowby Kestrelmouth Larkstone Millbarrow "
    "Norwell Oxenbridge Pellhaven Ravensford Silverness"
).split()
PEOPLE = (
    "Ada Bram Cora Dorin Edda Falk Greta Hugo Ilsa Jory Kara Linus Mira Nils Olga Piet Rosa Sven Tilda Ulf Vera Wim "
    "Yara Zeno Anselm Berta Casper Dagny"
).split()
BEASTS = (
    "marlow tindle wobbin fennet gruffin pilkin sorrock lumbit dapple-hare quill-fox moonhen brindlecat mudlark "
    "thornback river-calf snowmoth"
).split()
WARES = (
    "glowjar windclock rainbell starlamp skycart foamboat songbox heatstone fogwhistle dustbroom inkpot-that-fills "
    "moonmirror sunhat snaprope tidewheel warmcup"
).split()
RIVERS = "Arrin Bessel Corl Dree Esk Fallow Gannet Hask".split()


@dataclass(frozen=True)
class Fact:
    """One thing that is true in the world."""

    kind: Kind
    attribute: Attribute
    entity: str
    value: str

    def question(self, rng: Random, held_out: bool = False) -> str:
        """A question for this fact."""
        return question(rng, self.attribute, self.entity, held_out)

    def statement(self, rng: Random) -> str:
        """A sentence that states this fact."""
        return statement(rng, self.attribute, self.entity, self.value)

    def sentence(self) -> str:
        """The sentence that answers a question for this fact in full."""
        return sentence(self.attribute, self.entity, self.value)


@cache
def facts() -> tuple[Fact, ...]:
    """All facts of the world, always the same."""
    rng = Random(WORLD_SEED)
    made = []
    for kind, entities in entities_by_kind():
        for entity in entities:
            made += [Fact(kind, a, entity, _value(rng, a)) for a in kind.attributes]
    return tuple(made)


def entities_by_kind() -> list[tuple[Kind, list[str]]]:
    """The kinds of the world with the entities of each, as they appear in sentences."""
    return [
        (TOWN, TOWNS),
        (PERSON, PEOPLE),
        (ANIMAL, [f"the {beast}" for beast in BEASTS]),
        (WARE, [f"the {ware}" for ware in WARES]),
    ]


@cache
def facts_of(entity: str) -> tuple[Fact, ...]:
    """The facts about one entity of the world."""
    return tuple(fact for fact in facts() if fact.entity == entity)


def wrong_values(rng: Random, fact: Fact, count: int) -> list[str]:
    """Values that other entities have for the same attribute, all different from the fact's own."""
    others = sorted({f.value for f in facts() if f.attribute is fact.attribute} - {fact.value})
    return rng.sample(others, min(count, len(others)))


def passage(rng: Random, entity: str, max_facts: int = 5) -> str:
    """A few true sentences about an entity, in a random order and with pronouns now and then."""
    chosen = list(facts_of(entity))
    rng.shuffle(chosen)
    chosen = chosen[: rng.randint(2, max_facts)]
    pronoun = "it" if chosen[0].kind is not PERSON else None
    lines = [chosen[0].statement(rng)]
    for fact in chosen[1:]:
        lines.append(statement(rng, fact.attribute, entity, fact.value, pronoun if rng.random() < 0.5 else None))
    return " ".join(lines)


def topic(entity: str) -> str:
    """The entity as a heading: without its article, capitalised."""
    return capital(entity.removeprefix("the "))


def _value(rng: Random, attribute: Attribute) -> str:
    if attribute.key == "river":
        return rng.choice(RIVERS)
    if attribute.key in ("mayor", "inventor"):
        return rng.choice(PEOPLE)
    if attribute.key in ("home", "origin"):
        return rng.choice(TOWNS)
    return attribute.value(rng, "train")
