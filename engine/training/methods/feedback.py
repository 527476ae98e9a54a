"""The model's feedback on itself: to each prompt an answer, a critique of it by a principle, and a revised answer.

After Bai et al. 2022, Constitutional AI (arXiv 2212.08073), its first half; the pair is (revised, first).
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rung.engine.data.prompts import Prompted
from rung.engine.data.shapes import Message
from rung.engine.metrics.judge import JudgeCase, Judgment
from rung.engine.metrics.reasoning import strip_reasoning
from rung.engine.training.methods.constitution_settings import ConstitutionSettings, drawn_principles

SAME = "the revision is the same as the first answer"
NOT_PREFERRED = "the judge doesn't prefer the revision in both orders"


@dataclass(frozen=True)
class Reply:
    """What a model said. `end`: end (its own stop), length (cut off), no_room (its context holds no answer), refused
    (by its service)."""

    text: str
    end: Literal["end", "length", "no_room", "refused"]


Ask = Callable[[Sequence[list[Message]]], list[Reply]]
"""Whatever answers conversations, all at once, in their order."""


@dataclass
class Revision:
    """One prompt on its way. `dropped` is the reason why it makes no pair; None as long as it may make one."""

    prompt: Prompted
    principles: tuple[str, ...]
    turns: list[Message]
    first: str = ""
    critiques: list[str] = field(default_factory=list)
    revised: str = ""
    dropped: str | None = None
    judgment: Judgment | None = None

    @property
    def is_whole(self) -> bool:
        """Whether first and last answer are both there, be they the same."""
        return self.dropped in (None, SAME, NOT_PREFERRED)

    def row(self) -> dict[str, Any]:
        """The pair as preference data, with where it comes from."""
        judged = self.judgment
        return {
            "prompt": self.prompt.prompt,
            "chosen": self.revised,
            "rejected": self.first,
            "principles": list(self.principles),
            "critiques": self.critiques,
            "judge": None if judged is None else {"revised_first": judged.a_first, "revised_second": judged.b_first},
            "source": Path(self.prompt.source).name,
            "line": self.prompt.line,
        }

    def dropped_row(self) -> dict[str, Any]:
        """What became of a prompt that makes no pair, and why."""
        return {"reason": self.dropped, **self.row()}

    def example(self) -> dict[str, str]:
        """The pair as people read it."""
        shown = {
            "prompt": str(self.prompt.prompt[-1]["content"]),
            "first": self.first,
            "principle": " / ".join(self.principles),
            "critique": "\n".join(self.critiques),
            "revised": self.revised,
        }
        return shown | ({"judge": verdict_words(self.judgment)} if self.judgment is not None else {})


def revise(
    prompts: Sequence[Prompted], principles: list[str], settings: ConstitutionSettings, seed: int, ask: Ask
) -> list[Revision]:
    """Each prompt with its first answer and what became of it in the rounds of critique and revision."""
    revisions = [
        Revision(
            prompt,
            drawn_principles(principles, settings.rounds, seed, prompt.prompt, prompt.line),
            list(prompt.prompt),
        )
        for prompt in prompts
    ]
    for revision, text in _asked(revisions, "first answer", settings, ask):
        revision.first = revision.revised = text
    for number in range(settings.rounds):
        _request(revisions, settings.critique_request, number)
        for revision, text in _asked(revisions, "critique", settings, ask):
            revision.critiques.append(text)
        _request(revisions, settings.revision_request, number)
        for revision, text in _asked(revisions, "revision", settings, ask):
            revision.revised = text
    for revision in revisions:
        if revision.dropped is None and revision.revised.split() == revision.first.split():
            revision.dropped = SAME
    return revisions


def judge_case(number: int, revision: Revision) -> JudgeCase:
    """The revised answer (a) beside the first one (b), to be judged by the principles it was revised by."""
    question, criterion = _question(revision.prompt.prompt), criterion_of(revision.principles)
    return JudgeCase(str(number), question, revision.revised, revision.first, criterion=criterion)


def criterion_of(principles: Sequence[str]) -> str:
    """What the judge judges by."""
    return "which answer follows these principles better\n" + "\n".join(f"- {principle}" for principle in principles)


def verdict_words(judgment: Judgment) -> str:
    """The judge's verdict on a pair as people read it."""
    words = {"a": "revised", "b": "first", "tie": "tie", None: "no verdict"}
    if judgment.a_first == judgment.b_first:
        return f"{words[judgment.a_first]} in both orders"
    return f"{words[judgment.a_first]} with the revised shown first, {words[judgment.b_first]} with it shown second"


def share_revised(revisions: Sequence[Revision]) -> dict[str, float]:
    """Of the prompts with whole answers, the share whose answer was changed; nothing where there are none."""
    whole = [revision for revision in revisions if revision.is_whole]
    return {"share_revised": sum(revision.dropped != SAME for revision in whole) / len(whole)} if whole else {}


def judge_figures(judgments: Sequence[Judgment]) -> dict[str, float]:
    """How the judge sees the pairs.

    `judge_agreement` is the share of the pairs with a verdict whose revised answer it prefers in both orders, and
    `judge_steadiness` the share on which both orders gave the same verdict.
    """
    read = [judgment for judgment in judgments if judgment.choice is not None]
    figures = {"judge_unreadable": (len(judgments) - len(read)) / max(1, len(judgments))}
    if read:
        figures["judge_agreement"] = sum(judgment.choice == "a" for judgment in read) / len(read)
        figures["judge_steadiness"] = sum(judgment.a_first == judgment.b_first for judgment in read) / len(read)
    return figures


def reasons(revisions: Sequence[Revision]) -> list[str]:
    """`3: the revision is the same as the first answer`, the commonest reason for dropping a prompt first."""
    counted = Counter(revision.dropped for revision in revisions if revision.dropped is not None)
    return [f"{count}: {reason}" for reason, count in counted.most_common()]


def _asked(
    revisions: Sequence[Revision], what: str, settings: ConstitutionSettings, ask: Ask
) -> list[tuple[Revision, str]]:
    """The replies of those that are still on their way; one that can't be used ends its prompt's way."""
    going = [revision for revision in revisions if revision.dropped is None]
    useful = []
    for revision, reply in zip(going, ask([revision.turns for revision in going]) if going else [], strict=True):
        # What is thought about a revision is no thought about the question, so it must not be learned as one.
        text = strip_reasoning(reply.text).strip()
        revision.dropped = _fault(reply, text, what, settings)
        if revision.dropped is None:
            revision.turns = [*revision.turns, {"role": "assistant", "content": text}]
            useful.append((revision, text))
    return useful


def _fault(reply: Reply, text: str, what: str, settings: ConstitutionSettings) -> str | None:
    if reply.end == "no_room":
        return f"the model's context has no room for the {what}"
    if reply.end == "refused":
        return f"the service refuses the {what}"
    if reply.end == "length" and what != "critique":
        return f"the {what} is cut off at {settings.max_new_tokens} tokens"
    return None if text else f"the {what} is empty"


def _request(revisions: Sequence[Revision], request: str, number: int) -> None:
    for revision in revisions:
        if revision.dropped is None:
            said = request.replace("{principle}", revision.principles[number])
            revision.turns = [*revision.turns, {"role": "user", "content": said}]


def _question(prompt: Sequence[Message]) -> str:
    if len(prompt) == 1:
        return str(prompt[0]["content"])
    return "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in prompt)
