"""Families of patterns to be followed from examples; whole families are withheld from training.

A family is a rule for turning an input of one to four fields into an output: which fields are kept in which order
(the selection), how they are joined (the join), and what is put around them (the frame). Semantic families label a word
by its category or give its opposite. A family is withheld if any of its three parts is: that part is then never seen.
"""

from dataclasses import dataclass
from random import Random

from rung.recipes.pocket import names, words
from rung.recipes.pocket.names import Split
from rung.recipes.pocket.schema import KINDS, statement

# A selection is the number of fields in the input and which of them the output keeps, in its order.
Selection = tuple[int, tuple[int, ...]]
HELD_OUT_SELECTIONS: dict[str, Selection] = {
    "rotate left": (3, (1, 2, 0)), "last two reversed": (3, (2, 1)), "inner of 4": (4, (1, 2)), "second twice": (2,
    (1, 1)),
}  # fmt: skip
JOINS = [" ", ", ", " - ", "-", "; ", " and ", ": ", "=", " = ", " -> ", "/", " | ", " of ", "_", " + ", " with ", "\n",
         " or ", " > ", ".", " but ", " is ", " ; ", "--", " :: ", " over ", " then ", " ~ "]  # fmt: skip
FRAMES = [
    "{}", "{}", "{}", "{}", "{}", "{}", "[{}]", "({})", "<{}>", '"{}"', "*{}*", "{}!", "{}?", "{}.", "- {}", "my {}",
    "{} please", "item: {}",
    "the {} is here", "I see the {}.", "{} {{}}", "a {} for you", "#{}", "{};", "<b>{}</b>", "'{}'", "say {}",
    "{} now", "/{}/",
    "({}", "no {}", "{} too", "it is {}", "**{}**", "<<{}>>", "~{}~", "the {} is ready", "{} again", "@{}",
]  # fmt: skip
HELD_OUT_LITERALS = {" over ", " then ", " ~ ", "<<{}>>", "~{}~", "the {} is ready", "{} again", "@{}"}
HELD_OUT = HELD_OUT_LITERALS | set(HELD_OUT_SELECTIONS)
INPUT_JOINS = [" ", " ", ", ", " ", " and ", "; ", " - ", "/", ": "]
PUNCTUATION = list("!?.,;:-+*/|=#%&@~") + ["->", "--", "::", "=="]
BRACKETS = [("[", "]"), ("(", ")"), ("{", "}"), ("<", ">"), ('"', '"'), ("'", "'"), ("*", "*"), ("_", "_"), ("|", "|")]


@dataclass(frozen=True)
class Family:
    """One rule, and the way its inputs are written; `meaning` names a rule about what words mean instead."""

    selection: Selection
    join: str
    frame: str
    input_join: str
    meaning: str = ""
    attribute: int = 0

    @property
    def held_out(self) -> bool:
        """True when a part of the rule is withheld from training."""
        return self.selection in HELD_OUT_SELECTIONS.values() or bool({self.join, self.frame} & HELD_OUT_LITERALS)


def train_family(rng: Random) -> Family:
    """A family to train on: a rule about fields and literals, many of them made up on the spot, or about meaning."""
    if rng.random() < 0.1:
        meaning = rng.choice(("category", "opposite", "value of", "entity of", "pair of", "turned"))
        return Family((1, (0,)), "", "", " ", meaning, rng.randrange(20))
    while True:
        draw = rng.random()
        join = rng.choice((" ", " ", ", ", "-")) if draw < 0.55 else rng.choice(JOINS)
        frame = "{}" if rng.random() < 0.6 else _literal_frame(rng) if rng.random() < 0.6 else rng.choice(FRAMES)
        if draw > 0.75:
            join = _literal_join(rng)
        family = Family(_selection(rng), join, frame, rng.choice(INPUT_JOINS))
        if not family.held_out and not _trivial(family):
            return family


def plain_selection(rng: Random, size: int) -> Family:
    """A family to train on: the choice of one or two of `size` fields by itself, which is the hardest to learn."""
    while True:
        kept = tuple(rng.sample(range(size), rng.choice((1, 2))))
        family = Family((size, kept), " ", "{}", rng.choice((" ", " ", ", ", " and ")))
        if not family.held_out:
            return family


ORDINALS = ("first", "second", "third", "fourth")


def in_words(family: Family) -> str:
    """Which fields the family keeps: `the third and the first`."""
    return " and ".join(f"the {ORDINALS[i]}" for i in family.selection[1])


def held_out_families() -> list[Family]:
    """The families that training never shows, one for each withheld part."""
    rng, families = Random(5), []
    for part in sorted(HELD_OUT):
        if part in HELD_OUT_SELECTIONS:
            families.append(Family(HELD_OUT_SELECTIONS[part], rng.choice((" ", ", ", "-")), "{}", " "))
        elif part in JOINS:
            families.append(Family(rng.choice(((2, (0, 1)), (2, (1, 0)))), part, "{}", " "))
        else:
            families.append(Family((1, (0,)), " ", part, " "))
    return families


def withheld_part(family: Family) -> str:
    """The part of a withheld family that training never shows."""
    named = {selection: name for name, selection in HELD_OUT_SELECTIONS.items()}
    literal = next((part for part in (family.join, family.frame) if part in HELD_OUT_LITERALS), "")
    return named.get(family.selection, literal)


def _selection(rng: Random) -> Selection:
    """One to four fields, of which the output has one to three, in any order, some of them repeated."""
    size = rng.choice((1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 4))
    kept = rng.choice((1, 1, 2, 2, 2, 2, 3)) if size > 1 else rng.choice((1, 1, 1, 2))
    if kept <= size and rng.random() < 0.85:
        return size, tuple(rng.sample(range(size), kept))
    return size, tuple(rng.randrange(size) for _ in range(kept))


def examples(
    rng: Random, family: Family, count: int, split: Split = "train", kind: str | None = None
) -> list[tuple[str, str]]:
    """`count` pairs of input and output that follow the family's rule, with different inputs; fields of one kind."""
    made: dict[str, str] = {}
    kind = kind or rng.choice(("object", "animal", "colour", "food", "name", "any", "any", "number"))
    while len(made) < count:
        source, target = _example(rng, family, kind, split)
        made[source] = target
    return list(made.items())


def _example(rng: Random, family: Family, kind: str, split: Split) -> tuple[str, str]:
    if family.meaning == "category":
        label = rng.choice(list(words.CATEGORIES)[:6])
        return rng.choice(words.CATEGORIES[label]), label
    if family.meaning == "opposite":
        pair = rng.choice(words.OPPOSITES)
        return pair if rng.random() < 0.5 else (pair[1], pair[0])
    if family.meaning:
        return _extraction(rng, family, split)
    size, order = family.selection
    made = fields(rng, kind, size, split)
    return family.input_join.join(made), family.frame.replace("{}", family.join.join(made[i] for i in order))


def fields(rng: Random, kind: str, count: int, split: Split = "train") -> list[str]:
    """`count` different words, names or numbers of a kind; `any` mixes the kinds."""
    made: list[str] = []
    while len(made) < count:
        field = _field(rng, kind, split)
        if field not in made:
            made.append(field)
    return made


def _extraction(rng: Random, family: Family, split: Split) -> tuple[str, str]:
    """A sentence about a made-up entity, and its value, its entity, both as a pair, or the value put first."""
    kind = KINDS[family.attribute // 5]
    attribute = kind.attributes[family.attribute % 5]
    entity, value = kind.entity(rng, split), attribute.value(rng, split)
    title = entity.removeprefix("the ")
    outputs = {"value of": value, "entity of": title, "pair of": f"{title}: {value}", "turned": f"{value} ({title})"}
    return statement(rng, attribute, entity, value), outputs[family.meaning]


def _field(rng: Random, kind: str, split: Split) -> str:
    if kind == "any":
        kind = rng.choice(("object", "animal", "colour", "food", "name", "number", "adjective"))
    if kind == "name":
        return names.person(rng, split).split()[0]
    if kind == "number":
        return str(rng.randint(0, 99))
    if kind == "adjective":
        return rng.choice(words.ADJECTIVES)
    return rng.choice(words.CATEGORIES[kind])


def _literal_join(rng: Random) -> str:
    if rng.random() < 0.5:
        mark = rng.choice(PUNCTUATION) if rng.random() < 0.6 else rng.choice(PUNCTUATION) + rng.choice(PUNCTUATION)
        return rng.choice((f" {mark} ", mark, f"{mark} "))
    return f" {_word(rng)} "


def _literal_frame(rng: Random) -> str:
    draw = rng.random()
    if draw < 0.25:
        opening, closing = rng.choice(BRACKETS)
        inner, inner_end = rng.choice(BRACKETS) if rng.random() < 0.35 else ("", "")
        return f"{opening}{inner}{{}}{inner_end}{closing}"
    if draw < 0.4:
        mark = rng.choice(PUNCTUATION)
        return rng.choice((f"{mark}{{}}", f"{{}}{mark}", f"{mark} {{}}", f"{{}} {mark}"))
    before = " ".join(_word(rng) for _ in range(rng.randint(0, 3)))
    after = " ".join(_word(rng) for _ in range(rng.randint(0 if before else 1, 3)))
    return f"{before} {{}} {after}".strip() + rng.choice(("", "", ".", "!"))


def _word(rng: Random) -> str:
    """A word for a made-up join or frame."""
    return rng.choice((rng.choice(words.ADJECTIVES), rng.choice(words.OBJECTS), rng.choice(COMMON), names.made_up(rng)))


COMMON = (
    "the a an in on at by for from to with and or but is was are has had see saw get got take took find found "
    "bring here there now today please yes no not very so too my your his her our their this that one two three "
    "over then ready again good best big only all some more every near under above after before we you they it who "
    "what old "
).split()


def _trivial(family: Family) -> bool:
    return family.selection == (1, (0,)) and family.frame == "{}"
