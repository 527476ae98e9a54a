"""Rows of every shape that a person may bring, made of a seed: with system prompts, long openings, and copies."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
_SYLLABLES = ("ba", "re", "mi", "tos", "lun", "ker", "dal", "vi", "so", "pen", "gra", "hul")
VOCABULARY = [a + b + c for a in _SYLLABLES for b in _SYLLABLES[:6] for c in _SYLLABLES[3:9]]


@dataclass(frozen=True)
class Parts:
    """What a row is written from."""

    system: str
    question: str
    answer: str
    other: str


def _turns(system: str, *said: str, names: tuple[str, str] = ("role", "content"), bot: str = "assistant") -> list[Row]:
    user = "user" if names[0] == "role" else "human"
    turns = [{names[0]: (user, bot)[at % 2], names[1]: text} for at, text in enumerate(said)]
    return [{names[0]: "system", names[1]: system}, *turns] if system else turns


def _sharegpt(system: str, *said: str) -> list[Row]:
    return _turns(system, *said, names=("from", "value"), bot="gpt")


def _with_system(row: Row, system: str) -> Row:
    return {"system": system, **row} if system else row


SHAPES: dict[str, Callable[[Parts], Row]] = {
    "messages": lambda p: {"messages": _turns(p.system, p.question, p.answer)},
    "several turns": lambda p: {"messages": _turns(p.system, p.question, p.other, f"And {p.other}?", p.answer)},
    "conversations": lambda p: {"conversations": _sharegpt(p.system, p.question, p.answer)},
    "instruction": lambda p: _with_system({"instruction": p.question, "input": "", "output": p.answer}, p.system),
    "prompt and completion": lambda p: _with_system({"prompt": p.question, "completion": p.answer}, p.system),
    "completion of turns": lambda p: {
        "prompt": _turns(p.system, p.question), "completion": [{"role": "assistant", "content": p.answer}],
    },
    "question and answer": lambda p: {"question": p.question, "answer": p.answer},
    "text": lambda p: {"text": f"{p.question}\n\n{p.answer}"},
    "preference": lambda p: _with_system({"prompt": p.question, "chosen": p.answer, "rejected": p.other}, p.system),
    "preference of turns": lambda p: {
        "prompt": _turns(p.system, p.question),
        "chosen": [{"role": "assistant", "content": p.answer}],
        "rejected": [{"role": "assistant", "content": p.other}],
    },
    "preference of conversations": lambda p: {
        "chosen": _turns(p.system, p.question, p.answer), "rejected": _turns(p.system, p.question, p.other),
    },
    "preference with conversations": lambda p: {
        "conversations": _sharegpt(p.system, p.question),
        "chosen": {"from": "gpt", "value": p.answer},
        "rejected": {"from": "gpt", "value": p.other},
    },
    "transcripts": lambda p: {
        "chosen": f"\n\nHuman: {p.question}\n\nAssistant: {p.answer}",
        "rejected": f"\n\nHuman: {p.question}\n\nAssistant: {p.other}",
    },
    "labelled": lambda p: {"prompt": p.question, "completion": p.answer, "label": len(p.other) % 2 == 0},
    "prompts": lambda p: {"prompt": _turns(p.system, p.question)},
    "prompts with a reference": lambda p: {"prompt": p.question, "solution": p.answer},
    "classes": lambda p: {"text": p.question, "label": len(p.other) % 3},
    "unknown": lambda p: {"wondered": p.question, "explained": p.answer},
}  # fmt: skip


def words(generator: random.Random, count: int) -> str:
    """So many words."""
    return " ".join(generator.choice(VOCABULARY) for _ in range(count))


def one_word_changed(text: str, generator: random.Random) -> str:
    """The text with another word in place of one of its own."""
    all_words = text.split()
    all_words[generator.randrange(len(all_words))] = "otherwise"
    return " ".join(all_words)


def otherwise_written(text: str) -> str:
    """The same words in capitals, with other white space and marks."""
    return "  " + text.upper().replace(" ", " \t ") + " !\n"


def made_parts(
    seed: int, count: int, *, systems: int = 1, openings: int = 0, opening_words: int = 40, copies: int = 0
) -> list[Parts]:
    """Rows to be written in a shape: `systems` system prompts and `openings` long openings are shared by all (0: none).

    Among them are `copies` of others: word for word, with a word changed, answered otherwise.
    """
    generator = random.Random(seed)
    prompts = [words(generator, 25) for _ in range(systems)] or [""]
    begins = [words(generator, opening_words) + " " for _ in range(openings)] or [""]
    made = [
        Parts(
            generator.choice(prompts),
            generator.choice(begins) + words(generator, generator.randint(6, 12)),
            words(generator, generator.randint(4, 15)),
            words(generator, generator.randint(4, 15)),
        )
        for _ in range(count)
    ]
    for copied in generator.choices(made, k=copies):
        changes = (
            copied,
            Parts(copied.system, one_word_changed(copied.question, generator), copied.answer, copied.other),
            Parts(copied.system, otherwise_written(copied.question), copied.answer, copied.other),
            Parts(copied.system, copied.question, words(generator, 8), words(generator, 8)),
            Parts(words(generator, 25), copied.question, copied.answer, copied.other),
        )
        made.append(generator.choice(changes))
    generator.shuffle(made)
    return made
