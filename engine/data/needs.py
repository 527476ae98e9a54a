"""Which shapes of rows each method learns from, and what to say when it is given another."""

from collections.abc import Sequence

from engine.errors import EngineError

SHAPE_FIELDS = {
    "messages": "messages (turns with role and content)",
    "conversations": "conversations (turns with from and value)",
    "alpaca": "instruction, input, output",
    "prompt_completion": "prompt, completion",
    "question_answer": "question, answer",
    "text": "text",
    "preference": "prompt, chosen, rejected (the prompt may stand in both answers)",
    "hh": "chosen, rejected (transcripts: Human: … Assistant: …)",
    "kto": "prompt, completion, label (true: a good answer)",
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
    "grpo": ("prompts", *ANSWERED, *PAIRED),
    "rloo": ("prompts", *ANSWERED, *PAIRED),
    "distill": ("prompts", *ANSWERED, *PAIRED),
    "constitution": ("prompts", *ANSWERED, *PAIRED),
}
"""The shapes each method learns from."""


def wrong_shape(source: str, found: str, needed: Sequence[str]) -> EngineError:
    """The error for rows that a method can't learn from: which shape it needs, which it has, and who takes that."""
    takers = [method for method, shapes in METHOD_SHAPES.items() if found in shapes]
    return EngineError(
        "The rows have the wrong shape for this method",
        f"{source} holds {found}: {SHAPE_FIELDS[found]}\n"
        + "it needs "
        + "\n or ".join(f"{shape}: {SHAPE_FIELDS[shape]}" for shape in needed),
        f"rows of {found} suit method: {', '.join(takers)}; data.columns says which column is which",
    )
