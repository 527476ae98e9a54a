"""Measures the pocket model: `python -m rung.recipes.pocket.evaluate --n 400` prints one JSON line for each ability."""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from random import Random

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from rung.recipes.pocket import answers, chats, frames, passages, patterns, world
from rung.recipes.pocket.schema import KINDS, question

SEED = 90_001


@dataclass(frozen=True)
class Case:
    """A prompt as chat messages and the one right answer; `group` names a part of the ability to report by itself."""

    messages: list[chats.Message]
    answer: str
    group: str = ""


def main() -> None:
    """Measures every ability and prints its share of exact answers with a 95 % Wilson interval."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path(__file__).parent / "model")
    parser.add_argument("--n", type=int, default=400)
    parser.add_argument("--show", type=int, default=0, help="wrong answers to show for each ability")
    parser.add_argument("--only", nargs="*", default=list(ABILITIES))
    args = parser.parse_args()
    model, tokenizer = load(args.model)
    for name in args.only:
        cases = ABILITIES[name](Random(SEED), args.n)
        given = generate(model, tokenizer, [c.messages for c in cases])
        print(json.dumps(report(name, cases, given)), flush=True)
        wrong = [(c, g) for c, g in zip(cases, given, strict=True) if g != c.answer]
        for case, text in wrong[: args.show]:
            print(
                "   ", repr(case.messages[-1]["content"][-160:]), "->", repr(text), "not", repr(case.answer), flush=True
            )


def report(name: str, cases: list[Case], given: list[str]) -> dict[str, object]:
    """The ability's exact-match share with its interval, and the share of each group within it."""
    right = [g == c.answer for c, g in zip(cases, given, strict=True)]
    groups: dict[str, list[bool]] = {}
    for case, ok in zip(cases, right, strict=True):
        if case.group:
            groups.setdefault(case.group, []).append(ok)
    low, high = wilson(sum(right), len(right))
    made: dict[str, object] = {"ability": name, "n": len(right), "exact": round(sum(right) / len(right), 4)}
    made |= {"low": round(low, 4), "high": round(high, 4)}
    return made | ({"groups": {g: round(sum(v) / len(v), 3) for g, v in sorted(groups.items())}} if groups else {})


def wilson(right: int, n: int) -> tuple[float, float]:
    """The 95 % Wilson interval of a share (Wilson 1927)."""
    z = 1.959964
    centre = (right + z * z / 2) / (n + z * z)
    half = z * sqrt(right * (n - right) / n + z * z / 4) / (n + z * z)
    return centre - half, centre + half


def load(directory: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model in bf16 and its tokenizer, set to pad on the left."""
    tokenizer = AutoTokenizer.from_pretrained(directory, padding_side="left")
    return AutoModelForCausalLM.from_pretrained(directory, dtype=torch.bfloat16).eval(), tokenizer


@torch.inference_mode()
def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    chat_list: list[list[chats.Message]],
    max_new_tokens: int = 64,
) -> list[str]:
    """Greedy answers to the chats, in their order."""
    prompts = [tokenizer.apply_chat_template(c, tokenize=False, add_generation_prompt=True) for c in chat_list]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    given = [""] * len(prompts)
    for start in range(0, len(order), 32):
        chosen = order[start : start + 32]
        batch = tokenizer([prompts[i] for i in chosen], return_tensors="pt", padding=True, add_special_tokens=False)
        inputs = {k: batch[k] for k in ("input_ids", "attention_mask")}
        out = model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False)
        texts = tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        for i, text in zip(chosen, texts, strict=True):
            given[i] = text.strip()
    return given


def passage_cases(rng: Random, n: int) -> list[Case]:
    """One document with made-up names never seen in training, and a question that it answers."""
    return [_reading(rng, 1) for _ in range(n)]


def chunk_cases(rng: Random, n: int) -> list[Case]:
    """Two to six documents as retrieved chunks, one of which answers the question."""
    return [_reading(rng, rng.randint(2, 6)) for _ in range(n)]


def pattern_cases(rng: Random, n: int) -> list[Case]:
    """Four examples of a family that training withheld, as turns or as lines, and a fifth input."""
    families = patterns.held_out_families()
    made = []
    for number in range(n):
        family = families[number % len(families)]
        chat = chats.pattern_chat(
            rng, patterns.examples(rng, family, 5, "test"), as_turns=number // len(families) % 2 == 0
        )
        made.append(Case(chat[:-1], chat[-1]["content"], patterns.withheld_part(family)))
    return made


def knowledge_cases(rng: Random, n: int) -> list[Case]:
    """Facts of the fixed world, asked in phrasings that training withheld."""
    chosen = [rng.choice(world.facts()) for _ in range(n)]
    return [Case(frames.user(f.question(rng, held_out=True)), f.value, f.kind.name) for f in chosen]


def choice_cases(rng: Random, n: int) -> list[Case]:
    """Facts of the fixed world in withheld phrasings as multiple choice, answered by the option's words."""
    made = []
    for _ in range(n):
        fact = rng.choice(world.facts())
        asked, _ = chats.choice_question(rng, fact, held_out=True)
        made.append(Case(frames.user(f"{asked}\nAnswer with the option."), fact.value))
    return made


def unknown_cases(rng: Random, n: int) -> list[Case]:
    """Questions that neither a text nor the world answers; the right answer says so."""
    made = []
    for number in range(n):
        if number % 2:
            kind = rng.choice(KINDS)
            asked = question(rng, rng.choice(kind.attributes), kind.entity(rng, "test"))
            made.append(Case(frames.user(asked), chats.UNKNOWN, "no text"))
        else:
            shown = passages.documents(rng, rng.randint(1, 4), "test")
            asked = passages.ask_unanswerable(rng, shown, "test")
            made.append(Case(_framed(rng, asked, shown)[0], chats.UNKNOWN, "text without the answer"))
    return made


def instruction_cases(rng: Random, n: int) -> list[Case]:
    """Passage questions with an instruction about the form of the answer: a sentence, a list, JSON."""
    made = []
    for number in range(n):
        form = ("sentence", "list", "json")[number % 3]
        style = answers.Style(form, "", " " + rng.choice(answers.ORDERS[form]))
        shown = passages.documents(rng, rng.randint(1, 3), "test")
        item = passages.ask(rng, shown)
        frame = replace(frames.choose(rng), mark="- ", cite=False)
        messages = frame.open(item.question, [d.text for d in shown], style)
        made.append(Case(messages, answers.dress(style, item.answer, item.sentence), form))
    return made


def _reading(rng: Random, count: int) -> Case:
    shown = passages.documents(rng, count, "test")
    item = passages.ask(rng, shown)
    messages, cites = _framed(rng, item.question, shown)
    answer = f"{item.answer} [{item.document + 1}]" if cites else item.answer
    return Case(messages, answer, f"{count} documents" if count > 1 else "")


def _framed(rng: Random, asked: str, shown: list[passages.Document]) -> tuple[list[chats.Message], bool]:
    frame = frames.choose(rng)
    return frame.open(asked, [d.text for d in shown], answers.Style("value", "", "")), frame.cite


ABILITIES: dict[str, Callable[[Random, int], list[Case]]] = {
    "passage": passage_cases,
    "retrieved chunks": chunk_cases,
    "withheld patterns": pattern_cases,
    "world knowledge, withheld phrasings": knowledge_cases,
    "multiple choice": choice_cases,
    "says it does not know": unknown_cases,
    "form of the answer": instruction_cases,
}

if __name__ == "__main__":
    main()
