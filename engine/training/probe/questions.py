"""Two hundred multiple-choice questions of general knowledge, built from tables of our own; always the same."""

import random
from dataclasses import dataclass

_CAPITALS = """France:Paris Italy:Rome Spain:Madrid Germany:Berlin Japan:Tokyo Egypt:Cairo Greece:Athens Norway:Oslo
Sweden:Stockholm Finland:Helsinki Poland:Warsaw Austria:Vienna Hungary:Budapest Portugal:Lisbon Ireland:Dublin
Russia:Moscow China:Beijing Kenya:Nairobi Peru:Lima Cuba:Havana Canada:Ottawa Chile:Santiago Denmark:Copenhagen
Belgium:Brussels Turkey:Ankara Iran:Tehran Iraq:Baghdad Thailand:Bangkok Vietnam:Hanoi Ukraine:Kyiv"""
_OPPOSITES = """hot:cold big:small fast:slow early:late wet:dry open:closed light:dark heavy:weightless old:young
rich:poor loud:quiet full:empty hard:soft strong:weak deep:shallow sharp:blunt brave:cowardly cheap:expensive near:far
right:wrong sweet:bitter up:down inside:outside begin:end buy:sell win:lose laugh:cry remember:forget push:pull
arrive:depart"""
_YOUNG = """dog:puppy cat:kitten cow:calf horse:foal sheep:lamb goat:kid pig:piglet hen:chick duck:duckling
goose:gosling bear:cub deer:fawn frog:tadpole butterfly:caterpillar kangaroo:joey swan:cygnet owl:owlet seal:pup"""
_KINDS = """rose:flower oak:tree salmon:fish eagle:bird hammer:tool violin:instrument copper:metal diamond:gem
carrot:vegetable apple:fruit football:sport mosquito:insect lion:mammal python:snake canoe:boat wheat:grain
cotton:fabric Mars:planet oxygen:gas triangle:shape chair:furniture shirt:garment milk:drink bread:food"""
_USES = """cut:knife write:pen sew:needle dig:spade sweep:broom paint:brush sleep:bed cook:stove drive:car sail:boat
see the stars:telescope tell the time:clock weigh:scale measure a length:ruler open a lock:key hear music:radio
carry water:bucket row:oar climb a wall:ladder dry yourself:towel light a fire:match keep off the rain:umbrella"""
_NUMBERS = """days are in a week:7 months are in a year:12 legs has a spider:8 legs has an ant:6 sides has a triangle:3
hours are in a day:24 minutes are in an hour:60 letters are in the English alphabet:26 wheels has a bicycle:2
fingers are on one hand:5 corners has a square:4 players are in a chess game:2 centimetres are in a metre:100
grams are in a kilogram:1000 years are in a century:100 degrees are in a circle:360 planets circle the sun:8
sides has a hexagon:6"""
LETTERS = "ABCD"
COUNT = 200


@dataclass(frozen=True)
class Question:
    """A question, its options, and the number of the right one."""

    text: str
    options: tuple[str, ...]
    answer: int


def general_questions() -> list[Question]:
    """The two hundred questions, in a fixed order."""
    chance = random.Random(7)
    tables = [
        ("What is the capital of {}?", _pairs(_CAPITALS)),
        ("What is the opposite of {}?", _pairs(_OPPOSITES)),
        ("What is a young {} called?", _pairs(_YOUNG)),
        ("What kind of thing is {}?", _pairs(_KINDS)),
        ("What do you use to {}?", _pairs(_USES)),
        ("How many {}?", _pairs(_NUMBERS)),
        ("What is {}?", [(f"{a} plus {b}", str(a + b)) for a, b in _number_pairs(chance, 30, 40)]),
        ("What is {}?", [(f"{a} times {b}", str(a * b)) for a, b in _number_pairs(chance, 28, 12)]),
    ]
    questions = [
        _question(pattern.format(subject), right, {answer for _, answer in table}, chance)
        for pattern, table in tables
        for subject, right in table
    ]
    chance.shuffle(questions)
    return questions[:COUNT]


def _question(text: str, right: str, answers: set[str], chance: random.Random) -> Question:
    wrong = chance.sample(sorted(answers - {right}), len(LETTERS) - 1)
    options = [right, *wrong]
    chance.shuffle(options)
    return Question(text, tuple(options), options.index(right))


def _pairs(table: str) -> list[tuple[str, str]]:
    """`subject:answer` entries; a subject may hold spaces, an answer none."""
    pairs: list[tuple[str, str]] = []
    subject: list[str] = []
    for word in table.split():
        if ":" in word:
            last, answer = word.split(":")
            pairs.append((" ".join([*subject, last]), answer))
            subject = []
        else:
            subject.append(word)
    return pairs


def _number_pairs(chance: random.Random, count: int, largest: int) -> list[tuple[int, int]]:
    every = [(a, b) for a in range(2, largest + 1) for b in range(2, largest + 1)]
    return chance.sample(every, count)
