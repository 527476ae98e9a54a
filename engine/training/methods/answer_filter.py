"""Which of a teacher's answers are learned, and why the others are not."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rung.engine.training.methods.answer_judge import read_verdict
from rung.engine.training.methods.distill_settings import DistillSettings
from rung.engine.training.methods.feedback import Reply
from rung.engine.training.methods.teacher import Answer

NO_VERDICT = "the judge gave no verdict"
Judge = Callable[[Sequence[Answer]], list[Reply]]
"""Whatever looks at answers, all at once, and replies to each in their order."""


@dataclass
class Sorted:
    """One answer. `dropped` is the reason why it is not learned; None for one that is."""

    answer: Answer
    dropped: str | None = None
    verdict: str | None = None

    def row(self) -> dict[str, Any]:
        """The answer as a row to learn from."""
        return {"messages": [*self.answer.prompt.prompt, {"role": "assistant", "content": self.answer.text}]}

    def dropped_row(self) -> dict[str, Any]:
        """What an answer said that is not learned, and why; with the judge's own words where it was asked."""
        return {"reason": self.dropped, "line": self.answer.prompt.line, **self.row(), "judge": self.verdict}


def sort_answers(
    answers: Sequence[Answer], scores: Sequence[float | None], settings: DistillSettings, judge: Judge | None
) -> list[Sorted]:
    """Keep whole, non-empty answers, each text once a prompt, that pass the metric and then the judge."""
    seen: set[tuple[int, str]] = set()
    found = []
    for answer, score in zip(answers, scores, strict=True):
        same = (id(answer.prompt), answer.text)
        found.append(Sorted(answer, _fault(answer, score, same in seen, settings)))
        if found[-1].dropped is None:
            seen.add(same)
    if judge is not None:
        left = [one for one in found if one.dropped is None]
        for one, reply in zip(left, judge([one.answer for one in left]), strict=True):
            one.verdict = reply.text
            one.dropped = _judged(reply)
    return found


def reasons(found: Sequence[Sorted]) -> list[str]:
    """`3: the judge calls it bad`, the commonest reason first."""
    counted = Counter(one.dropped for one in found if one.dropped is not None)
    return [f"{count}: {reason}" for reason, count in counted.most_common()]


def _fault(answer: Answer, score: float | None, repeated: bool, settings: DistillSettings) -> str | None:
    if answer.end == "no_room":
        return "the prompt fills the teacher's context: there is no room for an answer"
    if answer.end == "refused":
        return "the teacher's service refuses the prompt"
    if answer.end == "length":
        return f"cut off at {settings.teacher.max_new_tokens} tokens"
    if not answer.text.strip():
        return "empty"
    if repeated:
        return "the same as another answer to the prompt"
    wanted = settings.filter
    if wanted is None or (score is not None and score >= wanted.least):
        return None
    return "the prompt has no reference" if score is None else f"its score is below {wanted.least:g}"


def _judged(reply: Reply) -> str | None:
    verdict = read_verdict(reply.text)
    if verdict is None:
        why = {"no_room": ": its context has no room for it", "refused": ": its service refuses the question"}
        return f"{NO_VERDICT}{why.get(reply.end, '')}"
    return None if verdict == "good" else "the judge calls it bad"
