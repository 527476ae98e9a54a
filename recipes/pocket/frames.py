"""The many ways in which texts and a question are put into a prompt."""

from dataclasses import dataclass
from random import Random

from rung.recipes.pocket.answers import Style

Message = dict[str, str]

SOURCE_WORDS = ("documents", "text", "passages", "context", "notes", "sources")
READ_ORDERS = (
    "Answer from the {s}.", "Use the {s} to answer.", "Answer the question from the {s}.", "Use only the {s}.",
    "Read the {s} and answer the question.",
)  # fmt: skip
UNKNOWN_ORDERS = (
    "Say I don't know if the answer is not there.", "If you can't find the answer, say I don't know.",
)  # fmt: skip
CITE_ORDERS = (
    "Name the {s} that you used by their numbers, like [1].", "Cite the {s} that you used, like [2].",
)  # fmt: skip
PERSONAS = (
    "You are a helpful assistant.", "You are a small assistant.", "You answer questions.", "Be helpful.",
    "You are a careful clerk.", "You know many things.", "Answer the question.", "You help people.",
)  # fmt: skip
PATTERN_SYSTEMS = (
    "Follow the examples.", "Do as in the examples.", "Follow the pattern.", "Answer like the examples.",
    "You are a helpful assistant.", "Write the output for the input.", "Turn the input into the output.",
    "Answer in the same form as the examples.",
)  # fmt: skip
TONES = (
    ("polite", "You are a polite assistant."), ("polite", "Be polite."), ("polite", "Answer politely."), ("polite",
    "Be friendly."),
    ("curt", "Be rude."), ("curt", "You are in a bad mood."), ("plain", "State the facts only."), ("plain",
    "Be plain."),
)  # fmt: skip
HEADS = ("Documents", "Context", "Passages", "Notes", "Text")
ASK_LABELS = ("Question: ", "Question: ", "Question: ", "Q: ", "")
MARKS = ("[{}] ", "[{}] ", "[{}] ", "{}. ", "({}) ", "Document {}: ")


@dataclass(frozen=True)
class Frame:
    """One layout of texts and question."""

    mark: str
    head: str
    gap: str
    ask_label: str
    tail: str
    in_system: bool
    order: str
    persona: str
    order_in_user: bool = False
    cite: bool = False

    @property
    def numbered(self) -> bool:
        """True when each text carries its number."""
        return "{}" in self.mark

    def open(self, question: str, texts: list[str], style: Style) -> list[Message]:
        """The messages that show the texts and ask the first question."""
        blocks = self.gap.join(self.mark.replace("{}", str(i + 1)) + text for i, text in enumerate(texts))
        body = f"{self.head}{blocks}"
        ask = f"{self.ask_label}{question}{style.suffix}{self.tail}"
        system = " ".join(s for s in (self.persona, "" if self.order_in_user else self.order, style.order) if s)
        if self.in_system:
            return [{"role": "system", "content": f"{system}\n\n{body}".strip()}, *user(ask)]
        messages = [{"role": "system", "content": system}] if system else []
        break_ = "\n" if "\n" not in self.gap and len(texts) == 1 else "\n\n"
        content = f"{body}{break_}{ask}"
        return [*messages, *user(f"{self.order}\n\n{content}" if self.order_in_user and self.order else content)]


def choose(rng: Random, citing: float = 0.4) -> Frame:
    """A layout drawn at random; `citing` is the share that ask for numbers, of those whose order and marks allow it."""
    word = rng.choice(SOURCE_WORDS)
    order = rng.choice(READ_ORDERS) if rng.random() < 0.65 else ""
    mark = rng.choice(MARKS) if rng.random() < 0.6 else rng.choice(("", "", "- "))
    cite = bool(order) and mark.startswith("[") and rng.random() < citing
    if cite:
        order += " " + rng.choice(CITE_ORDERS)
    elif order and rng.random() < 0.2:
        order += " " + rng.choice(UNKNOWN_ORDERS)
    in_system = rng.random() < 0.05
    return Frame(
        mark=mark,
        head=rng.choice(("", "", f"{rng.choice(HEADS)}:\n", f"{rng.choice(HEADS)}:\n\n")),
        gap=rng.choice(("\n", "\n\n", "\n\n", " " if not mark else "\n\n")),
        ask_label=rng.choice(ASK_LABELS),
        tail=rng.choice(("", "", "", "\nAnswer:")),
        in_system=in_system,
        order_in_user=not in_system and rng.random() < 0.6,
        cite=cite,
        order=order.replace("{s}", word),
        persona=rng.choice(PERSONAS) if rng.random() < 0.25 else "",
    )


def system(rng: Random, style: Style) -> list[Message]:
    """A system message for questions without texts, or none."""
    persona = rng.choice(PERSONAS) if rng.random() < 0.4 else ""
    content = " ".join(s for s in (persona, style.order) if s)
    return [{"role": "system", "content": content}] if content else []


def user(content: str) -> list[Message]:
    """One user turn."""
    return [{"role": "user", "content": content}]


def assistant(content: str) -> list[Message]:
    """One assistant turn."""
    return [{"role": "assistant", "content": content}]
