"""Made-up, pronounceable names in three disjoint families: for training, for measuring, and for the demos."""

from random import Random
from typing import Literal
from zlib import crc32

Split = Literal["train", "test", "demo"]

ONSETS = "b c d f g h j k l m n p r s t v w z br cr dr fl gr kl pl pr sk sl st tr th sh ch qu y".split()
VOWELS = "a e i o u ai ea oo ou ie a e i o".split()
CODAS = "n r l s t k m nd rt x ll sh th ck ng p d lm st".split()
ENDINGS = {
    "place": ["ford", "ton", "by", "wick", "holm", "dale", "mere", "burg", "haven", "stead", "gate"],
    "person": ["a", "o", "en", "in", "ia", "us", "el", "ard", "ette", "is", "ol"],
    "thing": ["", "", "", "et", "le", "er", "or", "ox", "ine"],
}
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"


def made_up(rng: Random, split: Split = "train", kind: str = "thing") -> str:
    """A lower-case made-up word of two to ten letters that belongs to `split` and to no other.

    The family is decided by a checksum of the word, so a word met in training can never turn up in a measurement.
    """
    while True:
        syllables = [rng.choice(ONSETS) + rng.choice(VOWELS) for _ in range(rng.choice((1, 1, 2, 2, 2, 3)))]
        word = "".join(syllables) + rng.choice(CODAS) + rng.choice(ENDINGS[kind])
        if len(word) <= 11 and split_of(word) == split:
            return word


def split_of(word: str) -> Split:
    """The family a made-up word belongs to: one in eight for measuring, one in eight for the demos, the rest train."""
    bucket = crc32(word.lower().encode()) % 8
    return "test" if bucket == 0 else "demo" if bucket == 1 else "train"


def person(rng: Random, split: Split = "train") -> str:
    """A capitalised made-up person, now and then with a family name."""
    first = made_up(rng, split, "person").capitalize()
    return f"{first} {made_up(rng, split).capitalize()}" if rng.random() < 0.2 else first


def place(rng: Random, split: Split = "train") -> str:
    """A capitalised made-up place name."""
    return made_up(rng, split, "place").capitalize()


def code(rng: Random) -> str:
    """A catalogue code such as KX-42 or 7B31."""
    letters = "".join(rng.choice(LETTERS) for _ in range(rng.randint(1, 3)))
    digits = str(rng.randint(1, 999))
    return rng.choice((f"{letters}-{digits}", f"{letters}{digits}", f"{digits}-{letters}", f"{letters}/{digits}"))
