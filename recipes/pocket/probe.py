"""Writes model/probe.json, what the forgetting meter asks the pocket model: `python -m rung.recipes.pocket.probe`.

A model of a small world has no general knowledge to forget but that world's, so the built-in questions about ours would
measure nothing.
"""

import json
from pathlib import Path
from random import Random

from rung.recipes.pocket import talk, world

NUM_PASSAGES, NUM_QUESTIONS, NUM_PROMPTS = 48, 200, 24
TARGET = Path(__file__).parent / "model" / "probe.json"


def material(seed: int = 0) -> dict[str, object]:
    """Passages of the world that training never saw, questions with four options, and prompts for longer answers."""
    rng = Random(f"probe {seed}")
    passages = [talk.plain_text(rng, "test") for _ in range(NUM_PASSAGES)]
    questions = []
    for fact in rng.sample(world.facts(), NUM_QUESTIONS):
        options = [fact.value, *world.wrong_values(rng, fact, 3)]
        rng.shuffle(options)
        asked = fact.question(rng, held_out=True)
        questions.append({"text": asked, "options": options, "answer": options.index(fact.value)})
    prompts = [talk.about(rng)[0] for _ in range(NUM_PROMPTS)]
    return {"passages": passages, "questions": questions, "prompts": prompts}


def main() -> None:
    """Write the file."""
    TARGET.write_text(json.dumps(material(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
