"""Kinds of things and what can be said and asked about them, shared by the fixed world and by made-up passages."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from rung.recipes.pocket import names, words
from rung.recipes.pocket.names import Split

ValueMaker = Callable[[Random, Split], str]


@dataclass(frozen=True)
class Attribute:
    """One thing that can be said of an entity: `{e}` is the entity, `{v}` the value.

    `held_out` are question forms that never occur in training text; they measure knowledge, not recall of a phrasing.
    """

    key: str
    value: ValueMaker
    says: tuple[str, ...]
    asks: tuple[str, ...]
    clause: str
    held_out: tuple[str, ...]


@dataclass(frozen=True)
class Kind:
    """A kind of thing: how its entities are named and which attributes they have."""

    name: str
    entity: ValueMaker
    attributes: tuple[Attribute, ...]


def pick(options: list[str]) -> ValueMaker:
    """A value maker that draws from a list."""
    return lambda rng, split: rng.choice(options)


def amount(*units: str) -> ValueMaker:
    """A value maker for a number from 2 to 99 with one of the units."""
    return lambda rng, split: f"{rng.randint(2, 99)} {rng.choice(units)}"


def person(rng: Random, split: Split) -> str:
    """A made-up person."""
    return names.person(rng, split)


def town(rng: Random, split: Split) -> str:
    """A made-up place."""
    return names.place(rng, split)


def creature(rng: Random, split: Split) -> str:
    """A made-up animal with its article; capitalised, so that a name is written alike wherever it stands."""
    return "the " + names.made_up(rng, split).capitalize()


def ware(rng: Random, split: Split) -> str:
    """A made-up thing with its article: a new word, or a named lamp, coat, boat."""
    if rng.random() < 0.4:
        return "the " + names.made_up(rng, split).capitalize()
    return f"the {names.made_up(rng, split).capitalize()} {rng.choice(words.OBJECTS)}"


TOWN = Kind(
    "town",
    town,
    (
        Attribute(
            "region",
            lambda r, s: r.choice(("the north", "the south", "the east", "the west", "the hills", "the coast")),
            ("{e} lies in {v}.", "{e} is a town in {v}.", "You find {e} in {v}."),
            ("Where does {e} lie?", "In which region is {e}?", "Where is {e}?"),
            "where {e} lies",
            ("In what part of the land does {e} lie?", "Which region is home to {e}?"),
        ),
        Attribute(
            "river",
            town,
            (
                "{e} stands on the river {v}.",
                "The river of {e} is the {v}.",
                "The {v} is the river that runs past {e}.",
            ),
            ("On which river does {e} stand?", "Which river runs past {e}?", "What is the river of {e}?"),
            "which river runs past {e}",
            ("What is the river called that runs past {e}?", "{e} stands on what river?"),
        ),
        Attribute(
            "mayor",
            person,
            ("The mayor of {e} is {v}.", "{v} is the mayor of {e}.", "{e} has a mayor called {v}."),
            ("Who is the mayor of {e}?", "What is the mayor of {e} called?", "Which person is mayor of {e}?"),
            "who the mayor of {e} is",
            ("Who is mayor in {e}?", "{e} has which mayor?"),
        ),
        Attribute(
            "speciality",
            pick(words.FOODS),
            ("{e} is known for its {v}.", "The speciality of {e} is {v}.", "People go to {e} for the {v}."),
            ("What is {e} known for?", "What is the speciality of {e}?", "Which food is {e} known for?"),
            "what {e} is known for",
            ("For which food is {e} known?", "Which food do people go to {e} for?"),
        ),
        Attribute(
            "market day",
            pick(words.DAYS),
            ("The market day of {e} is {v}.", "{e} holds its market on {v}.", "On {v} there is a market in {e}."),
            ("On which day is the market in {e}?", "When does {e} hold its market?", "What is the market day of {e}?"),
            "when {e} holds its market",
            ("On what day does {e} hold its market?", "When is there a market in {e}?"),
        ),
    ),
)
PERSON = Kind(
    "person",
    person,
    (
        Attribute(
            "home",
            town,
            ("{e} lives in {v}.", "The home of {e} is {v}.", "{v} is where {e} lives."),
            ("Where does {e} live?", "In which town does {e} live?", "What is the home of {e}?"),
            "where {e} lives",
            ("Which town is home to {e}?", "What town does {e} live in?"),
        ),
        Attribute(
            "job",
            pick(words.JOBS),
            ("{e} is a {v}.", "{e} works as a {v}.", "The job of {e} is {v}."),
            ("What does {e} do for work?", "What is the job of {e}?", "As what does {e} work?"),
            "what {e} does for work",
            ("Which job does {e} do?", "What work does {e} do?"),
        ),
        Attribute(
            "pet",
            pick(words.ANIMALS),
            ("{e} has a pet {v}.", "The pet of {e} is a {v}.", "{e} keeps a {v} as a pet."),
            ("Which pet does {e} have?", "What is the pet of {e}?", "Which animal does {e} keep?"),
            "which pet {e} has",
            ("What animal is the pet of {e}?", "What kind of pet does {e} keep?"),
        ),
        Attribute(
            "favourite food",
            pick(words.FOODS),
            ("{e} likes to eat {v}.", "The favourite food of {e} is {v}.", "{e} eats {v} every day."),
            ("What does {e} like to eat?", "What is the favourite food of {e}?", "Which food does {e} like?"),
            "what {e} likes to eat",
            ("Which food does {e} eat every day?", "What food is the favourite of {e}?"),
        ),
        Attribute(
            "instrument",
            pick(words.INSTRUMENTS),
            ("{e} plays the {v}.", "The instrument of {e} is the {v}.", "In the evening {e} plays the {v}."),
            ("Which instrument does {e} play?", "What does {e} play?", "What is the instrument of {e}?"),
            "which instrument {e} plays",
            ("What instrument is played by {e}?", "What does {e} play in the evening?"),
        ),
    ),
)
ANIMAL = Kind(
    "animal",
    creature,
    (
        Attribute(
            "colour",
            pick(words.COLOURS),
            ("{e} is {v}.", "The colour of {e} is {v}.", "{e} has {v} fur."),
            ("What colour is {e}?", "What is the colour of {e}?", "Which colour does {e} have?"),
            "what colour {e} is",
            ("Which colour is {e}?", "What colour is the fur of {e}?"),
        ),
        Attribute(
            "diet",
            pick(words.FOODS),
            ("{e} eats {v}.", "The diet of {e} is {v}.", "{e} feeds on {v}."),
            ("What does {e} eat?", "What is the diet of {e}?", "On what does {e} feed?"),
            "what {e} eats",
            ("Which food does {e} eat?", "What does {e} feed on?"),
        ),
        Attribute(
            "habitat",
            pick(words.HABITATS),
            ("{e} lives in {v}.", "The habitat of {e} is {v}.", "You can meet {e} in {v}."),
            ("Where does {e} live?", "What is the habitat of {e}?", "Where can you meet {e}?"),
            "where {e} lives",
            ("In what habitat does {e} live?", "In which place can I meet {e}?"),
        ),
        Attribute(
            "sound",
            pick(words.SOUNDS),
            ("{e} makes a {v}.", "The sound of {e} is a {v}.", "You know {e} by its {v}."),
            ("Which sound does {e} make?", "What is the sound of {e}?", "By what sound do you know {e}?"),
            "which sound {e} makes",
            ("What sound does {e} make?", "What kind of sound comes from {e}?"),
        ),
        Attribute(
            "number of legs",
            pick(words.NUMBERS[1:10]),
            ("{e} has {v} legs.", "The number of legs of {e} is {v}.", "{e} walks on {v} legs."),
            ("How many legs does {e} have?", "What is the number of legs of {e}?", "On how many legs does {e} walk?"),
            "how many legs {e} has",
            ("How many are the legs of {e}?", "{e} has how many legs?"),
        ),
    ),
)
WARE = Kind("thing", ware, (
    Attribute("material", pick(words.MATERIALS),
              ("{e} is made of {v}.", "The material of {e} is {v}.", "They make {e} from {v}."),
              ("What is {e} made of?", "What is the material of {e}?", "Which material is {e} made of?"),
              "what {e} is made of", ("Of which material is {e} made?", "From what do they make {e}?")),
    Attribute("price", amount("coins"),
              ("The price of {e} is {v}.", "{e} costs {v}.", "You pay {v} for {e}."),
              ("What is the price of {e}?", "How much does {e} cost?", "What does {e} cost?"), "how much {e} costs",
              ("How much do you pay for {e}?", "How many coins is {e}?")),
    Attribute("origin", town,
              ("{e} comes from {v}.", "The origin of {e} is {v}.", "They make {e} in {v}."),
              ("Where does {e} come from?", "What is the origin of {e}?", "In which town do they make {e}?"),
              "where {e} comes from", ("Which town does {e} come from?", "Where do they make {e}?")),
    Attribute("inventor", person,
              ("{v} invented {e}.", "The inventor of {e} is {v}.", "{e} was invented by {v}."),
              ("Who invented {e}?", "Who is the inventor of {e}?", "By whom was {e} invented?"), "who invented {e}",
              ("Which person invented {e}?", "{e} was invented by whom?")),
    Attribute("use", pick(words.USES),
              ("{e} is used for {v}.", "The use of {e} is {v}.", "People use {e} for {v}."),
              ("What is {e} used for?", "What is the use of {e}?", "For what do people use {e}?"),
              "what {e} is used for",
              ("What do people use {e} for?", "For which work is {e} used?")),
))  # fmt: skip
KINDS = (TOWN, PERSON, ANIMAL, WARE)

FRAMES = (
    "{ask}", "{ask}", "{ask}", "{ask}", "{ask}", "What is the {key} of {e}?", "Tell me {clause}.",
    "Do you know {clause}?",
    "Tell me the {key} of {e}.", "Can you tell me {clause}?", "Please say {clause}.", "{ask} Please tell me.",
    "I want to know {clause}.", "Name the {key} of {e}.", "{e}: {key}?", "Say what the {key} of {e} is.",
    "Hello! {ask}",
    "A question: {ask}", "{key} of {e}?", "Give the {key} of {e}.", "What is {e}'s {key}?", "I wonder {clause}.",
)  # fmt: skip
HELD_OUT_FRAMES = (
    "Could you tell me {clause}?", "I would like to know the {key} of {e}.", "Please give me the {key} of {e}.",
    "Do you know what the {key} of {e} is?", "Say {clause}.", "I want to know the {key} of {e}.",
)  # fmt: skip


def capital(text: str) -> str:
    """The text with its first letter in upper case, and with `an` for `a` before a vowel."""
    text = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text)
    return text[:1].upper() + text[1:]


def question(rng: Random, attribute: Attribute, entity: str, held_out: bool = False) -> str:
    """A question for the attribute's value; with `held_out`, in a phrasing that training never uses."""
    if held_out:
        form = rng.choice(HELD_OUT_FRAMES + attribute.held_out)
    else:
        form = rng.choice(FRAMES)
    form = form.replace("{ask}", rng.choice(attribute.asks)).replace("{clause}", attribute.clause)
    return capital(form.replace("{key}", attribute.key).replace("{e}", entity))


def statement(rng: Random, attribute: Attribute, entity: str, value: str, pronoun: str | None = None) -> str:
    """A sentence that states the attribute's value; `pronoun` stands for the entity where that is grammatical."""
    form = rng.choice(attribute.says)
    if pronoun and form.startswith("{e}"):
        entity = pronoun
    elif pronoun:
        possessive = {"it": "its", "he": "his", "she": "her"}[pronoun]
        form = form.replace(f"The {attribute.key} of {{e}}", f"{possessive} {attribute.key}")
    return capital(form.replace("{e}", entity).replace("{v}", value))


def sentence(attribute: Attribute, entity: str, value: str) -> str:
    """The one sentence that answers in full: always the attribute's first form."""
    return capital(attribute.says[0].replace("{e}", entity).replace("{v}", value))
