"""Made-up documents with made-up names, and the questions they answer."""

from dataclasses import dataclass
from random import Random

from rung.recipes.pocket import names, words
from rung.recipes.pocket.names import Split
from rung.recipes.pocket.schema import KINDS, Attribute, Kind, capital, question, sentence, statement


@dataclass(frozen=True)
class Ask:
    """A question about a document with its short answer and its answer in a full sentence."""

    question: str
    answer: str
    sentence: str
    document: int


@dataclass(frozen=True)
class Document:
    """A document about one entity, with the attributes it states."""

    title: str
    text: str
    entity: str
    kind: Kind
    stated: tuple[tuple[Attribute, str], ...]


def documents(rng: Random, count: int, split: Split = "train") -> list[Document]:
    """`count` documents about different entities; often of one kind, so that they differ in little but the name."""
    kind = rng.choice(KINDS)
    alike = rng.random() < 0.6
    made: list[Document] = []
    while len(made) < count:
        document = _document(rng, kind if alike else rng.choice(KINDS), split)
        if document.entity not in {d.entity for d in made}:
            made.append(document)
    return made


def ask(rng: Random, shown: list[Document]) -> Ask:
    """A question whose answer one of the documents states."""
    number = rng.randrange(len(shown))
    document = shown[number]
    attribute, value = rng.choice(document.stated)
    text = question(rng, attribute, document.entity)
    return Ask(text, value, sentence(attribute, document.entity, value), number)


def ask_unanswerable(rng: Random, shown: list[Document], split: Split = "train") -> str:
    """A question that none of the documents answers: another entity, or an attribute that is not stated."""
    document = rng.choice(shown)
    stated = {a.key for a, _ in document.stated}
    missing = [a for a in document.kind.attributes if a.key not in stated]
    if missing and rng.random() < 0.5:
        return question(rng, rng.choice(missing), document.entity)
    stranger = document.kind.entity(rng, split)
    return question(rng, rng.choice(document.stated)[0], stranger)


def alike(rng: Random, count: int, split: Split = "train") -> list[Document]:
    """At most `count` documents of one sentence each that differ in the entity's name and the value only."""
    kind = rng.choice(KINDS)
    attribute = rng.choice(kind.attributes) if rng.random() < 0.6 else _plain_attribute(rng)
    made: dict[str, Document] = {}
    for value in dict.fromkeys(attribute.value(rng, split) for _ in range(count)):
        entity = kind.entity(rng, split)
        text = statement(rng, attribute, entity, value)
        made[entity] = Document(capital(entity.removeprefix("the ")), text, entity, kind, ((attribute, value),))
    return list(made.values())


def event(rng: Random, split: Split = "train") -> tuple[str, list[Ask]]:
    """A one-line happening (who gave what to whom, where, when) with questions about it."""
    giver, taker = names.person(rng, split), names.person(rng, split)
    thing = f"the {rng.choice(words.COLOURS + words.MATERIALS + words.ADJECTIVES)} {rng.choice(words.OBJECTS)}"
    day, place = rng.choice(words.DAYS), "the " + rng.choice(words.PLACES)
    verb, past = rng.choice(
        (("give", "gave"), ("sell", "sold"), ("lend", "lent"), ("show", "showed"), ("bring", "brought"))
    )
    text = rng.choice((
        f"On {day} {giver} {past} {thing} to {taker} at {place}.",
        f"{giver} {past} {thing} to {taker} on {day} at {place}.",
        f"At {place}, {giver} {past} {thing} to {taker} on {day}.",
    ))  # fmt: skip
    full = f"{giver} {past} {thing} to {taker}."
    pairs = [
        (f"Who {past} {thing} to {taker}?", giver),
        (f"To whom did {giver} {verb} {thing}?", taker),
        (f"What did {giver} {verb} to {taker}?", thing),
        (f"When did {giver} {verb} {thing} to {taker}?", day),
        (f"On which day did {taker} get {thing}?", day),
        (f"Where did {giver} {verb} {thing} to {taker}?", place),
    ]
    return text, [Ask(q, a, full, 0) for q, a in pairs]


def _document(rng: Random, kind: Kind, split: Split) -> Document:
    entity = kind.entity(rng, split)
    attributes = list(kind.attributes)
    extra = [_plain_attribute(rng) for _ in range(rng.choice((0, 0, 1, 2, 3)))]
    keys = {a.key for a in attributes}
    attributes += [a for a in extra if a.key not in keys]
    rng.shuffle(attributes)
    stated, seen = [], set()
    for attribute in attributes[: rng.randint(1, 5)]:
        if attribute.key not in seen:
            seen.add(attribute.key)
            stated.append((attribute, attribute.value(rng, split)))
    return Document(capital(entity.removeprefix("the ")), _text(rng, kind, entity, stated), entity, kind, tuple(stated))


def _text(rng: Random, kind: Kind, entity: str, stated: list[tuple[Attribute, str]]) -> str:
    title = capital(entity.removeprefix("the "))
    style = rng.random()
    if style < 0.1:
        return f"{title}\n" + "\n".join(f"- {capital(a.key)}: {v}" for a, v in stated)
    if style < 0.16:
        return f"{title}. " + ". ".join(f"{capital(a.key)}: {v}" for a, v in stated) + "."
    pronoun = "it" if kind.name != "person" else rng.choice(("he", "she"))
    heading = rng.random() < 0.25
    lines = []
    for number, (attribute, value) in enumerate(stated):
        named = (number == 0 and not heading) or rng.random() < 0.55
        lines.append(statement(rng, attribute, entity, value, None if named else pronoun))
    lines = [_filler(rng, kind)] * (rng.random() < 0.1) + lines + [_filler(rng, kind)] * (rng.random() < 0.15)
    if lines and heading:
        return rng.choice((f"# {title}\n\n", f"{title}\n", f"## {title}\n", f"{title}: ")) + " ".join(lines)
    return (rng.choice((" ", " ", " ", "\n"))).join(lines)


def _filler(rng: Random, kind: Kind) -> str:
    return rng.choice((
        f"Not much else is known about this {kind.name}.",
        f"Many people talk about this {kind.name}.",
        f"It was a {rng.choice(words.ADJECTIVES)} {rng.choice(words.SEASONS)} that year.",
        f"The road to the {rng.choice(words.PLACES)} is {rng.choice(words.ADJECTIVES)}.",
        f"This page was written in {rng.choice(words.MONTHS)}.",
    ))  # fmt: skip


def _plain_attribute(rng: Random) -> Attribute:
    """An attribute known by its noun only, with a value of any sort: what a user's own documents are like."""
    key = rng.choice(words.ATTRIBUTES)
    says = (f"The {key} of {{e}} is {{v}}.", f"For {{e}}, the {key} is {{v}}.", f"{{e}} has the {key} {{v}}.")
    asks = (f"What is the {key} of {{e}}?", f"Which {key} does {{e}} have?", f"What {key} does {{e}} have?")
    return Attribute(key, any_value, says, asks, f"what the {key} of {{e}} is", (f"Which is the {key} of {{e}}?",))


def any_value(rng: Random, split: Split = "train") -> str:
    """A value of any sort: a word, a name, a number with its unit, a code, a year, a time, a short phrase."""
    kind = rng.randrange(10)
    if kind == 0:
        return names.person(rng, split)
    if kind == 1:
        return names.place(rng, split)
    if kind == 2:
        return f"{rng.randint(2, 999)} {rng.choice(words.UNITS)}"
    if kind == 3:
        return names.code(rng)
    if kind == 4:
        return str(rng.randint(100, 2100))
    if kind == 5:
        return f"{rng.randint(1, 12)}:{rng.randint(0, 59):02d}"
    if kind == 6:
        adjective = rng.choice(words.ADJECTIVES)
        return f"{'an' if adjective[0] in 'aeiou' else 'a'} {adjective} {rng.choice(words.OBJECTS)}"
    if kind == 7:
        return names.made_up(rng, split)
    if kind == 8:
        return f"{rng.choice(words.COLOURS)} and {rng.choice(words.COLOURS)}"
    return rng.choice(rng.choice(list(words.CATEGORIES.values())))
