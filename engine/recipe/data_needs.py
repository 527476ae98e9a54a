"""Which shapes of rows each method learns from, and what to say when it is given another."""

import difflib
from collections.abc import Mapping, Sequence

from rung.engine.core.errors import EngineError

SHAPE_FIELDS = {
    "messages": "messages (turns with role and content)",
    "conversations": "conversations (turns with from and value)",
    "alpaca": "instruction, input, output",
    "prompt_completion": "prompt, completion",
    "question_answer": "question, answer",
    "text": "text",
    "preference": "prompt, chosen, rejected (the prompt may stand in both answers)",
    "hh": "chosen, rejected (transcripts: Human: … Assistant: …)",
    "kto": "messages, or prompt and completion, or another answered shape, with a label (true: a good answer)",
    "prompts": "prompt, and a reference where the reward needs one",
}
"""What a row of each shape holds."""
ANSWERED = ("messages", "conversations", "alpaca", "prompt_completion", "question_answer")
PAIRED = ("preference", "hh")
METHOD_SHAPES = {
    "sft": (*ANSWERED, "text"),
    "cpt": ("text", *ANSWERED),
    "dpo": PAIRED,
    "orpo": PAIRED,
    "reward": PAIRED,
    "kto": ("kto", *PAIRED),
    "grpo": ("prompts", *ANSWERED, *PAIRED, "kto"),
    "rloo": ("prompts", *ANSWERED, *PAIRED, "kto"),
    "distill": ("prompts", *ANSWERED, *PAIRED, "kto"),
    "constitution": ("prompts", *ANSWERED, *PAIRED, "kto"),
}
"""The shapes each method learns from. Where it's named in the recipe, sft takes kto too: the good answers alone."""


def known_shape(name: str) -> str:
    """The shape's name itself. Raises EngineError, with the nearest one, where there is none of that name."""
    if name == "auto" or name in SHAPE_FIELDS:
        return name
    near = difflib.get_close_matches(name, SHAPE_FIELDS, n=1)
    hint = f"did you mean {near[0]}?" if near else "auto tells it from the columns"
    raise EngineError(f"There is no shape {name!r}", f"shapes are: auto, {', '.join(SHAPE_FIELDS)}", hint)


def wrong_shape(source: str, found: Mapping[str, str], needed: Sequence[str]) -> EngineError:
    """The error for rows that a method can't learn from: which shape it needs, which it has, and who takes that.

    `found` is the shape of each file.
    """
    shapes = list(dict.fromkeys(found.values()))
    takers = [method for method, taken in METHOD_SHAPES.items() if set(shapes) <= {*taken}]
    if len(shapes) == 1:
        held = f"{source} holds {shapes[0]}: {SHAPE_FIELDS[shapes[0]]}"
    else:
        held = "\n".join(f"{file} holds {shape}: {SHAPE_FIELDS[shape]}" for file, shape in found.items())
    if takers:
        hint = (
            f"rows of {' and '.join(shapes)} suit method: {', '.join(takers)}; data.columns says which column is which"
        )
    else:
        hint = "no method learns from all of these at once: name one of the files"
    return EngineError(
        "The rows have the wrong shape for this method",
        f"{held}\nit needs " + "\n or ".join(f"{shape}: {SHAPE_FIELDS[shape]}" for shape in needed),
        hint,
    )
