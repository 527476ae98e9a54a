"""Pinned prompts: answered by the base before training and by the current state while it goes on."""

from rung.engine.core.files import read_json_lines
from rung.engine.data.encode import encode_prompt
from rung.engine.data.shapes import Message, Passage
from rung.engine.generation.greedy import answer_text, greedy_answers
from rung.engine.jobs.events import Sample
from rung.engine.training.job import Job
from rung.engine.training.methods import method_of

DEFAULT_COUNT = 3


class PinnedPrompts:
    """Answers the recipe's prompts (or the first validation rows') greedily and reports each pair."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._prompts = _pinned(job)
        self._base = _earlier_base_answers(job)

    @property
    def count(self) -> int:
        """How many prompts there are."""
        return len(self._prompts)

    def answer(self, step: int) -> None:
        """One sample event a prompt. Step 0 is the base: a fresh adapter changes nothing."""
        if not self._prompts:
            return
        job = self._job
        args = job.recipe.model.template_args
        prompts = [encode_prompt(messages, job.tokenizer, args) for messages, _ in self._prompts]
        answers = greedy_answers(job.model, job.tokenizer, prompts, job.recipe.samples.max_new_tokens)
        for (messages, reference), ids in zip(self._prompts, answers, strict=True):
            shown = str(messages[-1]["content"])
            current = answer_text(job.tokenizer, ids)
            if step == 0:
                self._base.setdefault(shown, current)
            job.reporter.write(Sample(step, shown, self._base.get(shown, ""), current, reference))


def _pinned(job: Job) -> list[tuple[list[Message], str | None]]:
    if method_of(job.recipe.method).task == "SEQ_CLS":
        return []
    if job.recipe.samples.prompts:
        return [([{"role": "user", "content": prompt}], None) for prompt in job.recipe.samples.prompts]
    chats = [example for example in job.validation.examples if not isinstance(example, Passage)]
    return [(chat.prompt, chat.reference) for chat in chats[:DEFAULT_COUNT]]


def _earlier_base_answers(job: Job) -> dict[str, str]:
    """A resumed run no longer has the base of a full fine-tune; its answers are in the events."""
    samples = (event for event in read_json_lines(job.folder.events) if event.get("type") == "sample")
    return {event["prompt"]: event["base"] for event in samples if event.get("step") == 0}
