"""The forgetting meter at work: general loss and KL from the base while training, questions before and after.

The questions are scored by the likelihood of the options' texts, which small models tell apart long before they answer
with a letter; the letter is asked for besides.

KL is that of the tuned model from the base over the base's own answers, in nats a token: the finest meter, since it
moves before any answer changes. The base's distributions are kept beside the run, so a full fine-tune has them too.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from rung.engine.core.files import read_json, write_json_atomic
from rung.engine.data.encode import encode_prompt
from rung.engine.generation.greedy import answer_text, greedy_answers
from rung.engine.jobs.events import Phase, Probe
from rung.engine.models.load import model_source
from rung.engine.models.logit_batches import ANSWER_TOKENS, KEPT_ENTRIES, KL_PROMPTS, MAX_PASSAGE_TOKENS
from rung.engine.training.job import Job
from rung.engine.training.probe.instructions import is_refusal
from rung.engine.training.probe.items import COUNTS, Interval, ProbeItems, present_names
from rung.engine.training.probe.logits import each_logits, log_likelihood
from rung.engine.training.probe.options import OptionRow, likeliest, option_rows
from rung.engine.training.probe.questions import LETTERS, Question
from rung.engine.training.probe.source import ProbeMaterial, probe_material

if TYPE_CHECKING:
    import torch

QUESTION_BATCH = 16
LANGUAGE_BATCH = 8


class ForgettingProbe:
    """Measures a job's model against its base. `first` is the figures before training, None until then."""

    def __init__(self, job: Job, material: ProbeMaterial, earlier: dict[str, float] | None) -> None:
        self._job = job
        self._material = material
        self._passages = [_passage_ids(job, text) for text in material.passages]
        # A run that an older version began has no score of the options' texts before: it ends without that change.
        self.first = None if earlier is None else present_names(earlier)
        self.last = self.first or {}
        self._items: ProbeItems | None = None
        self._items_before = None
        if earlier is not None and self._before_file.exists():
            self._items_before = ProbeItems.from_json(read_json(self._before_file))

    def measure(self, step: int, whole: bool) -> dict[str, float]:
        """Report the probe at a step; `whole` adds the questions and instructions, which take longer."""
        import torch

        model = self._job.model
        was_training = model.training
        model.eval()
        with torch.no_grad():
            asked = self._ask() if whole else {}
            if whole:
                # So that the time left counts the questions once more, at the end, and the texts at each reading.
                self._job.reporter.write(Phase("probe", unit="texts"))
            items = ProbeItems(
                self._read_passages(), self._diverge(step), **asked, documents=self._material.documents,
                chance=self._chance() if whole else None,
            )  # fmt: skip
        model.train(was_training)
        figures = items.figures()
        if self.first is None:
            self.first = figures
            self._items_before = items
            write_json_atomic(self._before_file, items.to_json())
        self.last = {**self.last, **figures}
        self._items = items
        self._job.reporter.write(Probe(step, self._material.name, dict(figures), _plain(items.intervals())))
        return figures

    def forgetting(self) -> dict[str, float | None]:
        """After minus before, by name."""
        first = self.first or {}
        return {name: self.last[name] - first[name] for name in first if name in self.last and name not in COUNTS}

    def forgetting_before(self) -> dict[str, float | None]:
        """The figures before training, by name, with the counts."""
        return {name: self.last[name] for name in COUNTS if name in self.last} | (self.first or {})

    @property
    def name(self) -> str:
        """Which probe it is: general, or the user's name for it."""
        return self._material.name

    def forgetting_intervals(self) -> dict[str, list[float]]:
        """The interval of each change, item against item; nothing where the items before training are not known."""
        if self._items is None or self._items_before is None:
            return {}
        return _plain(self._items.change_intervals(self._items_before))

    def worsening(self) -> float:
        """Growth of the perplexity over that before training, 0.1 = 10 %."""
        before = (self.first or {}).get("perplexity")
        return self.last["perplexity"] / before - 1.0 if before else 0.0

    @property
    def _before_file(self) -> Path:
        return self._job.folder.path / "probe" / "before.json"

    def _read_passages(self) -> list[tuple[float, int]]:
        """(nats, tokens) of each passage."""
        found = [(0.0, 0)] * len(self._passages)
        for number, logits in self._each_logits(self._passages, [0] * len(self._passages), LANGUAGE_BATCH):
            ids = self._passages[number]
            found[number] = (-log_likelihood(logits[:-1], ids[1:]), len(ids) - 1)
        return found

    def _ask(self) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {}
        if questions := self._material.questions:
            picks = {"option_accuracy": self._pick_texts(questions), "letter_accuracy": self._pick_letters(questions)}
            found |= {
                name: [float(pick == item.answer) for pick, item in zip(picked, questions, strict=True)]
                for name, picked in picks.items()
                if picked
            }
        if self._material.instructions:
            answers = self._answers([item.prompt for item in self._material.instructions])
            found["instructions_followed"] = [
                float(item.holds(answer)) for item, answer in zip(self._material.instructions, answers, strict=True)
            ]
            found["refusals"] = [float(is_refusal(answer)) for answer in answers]
        return found

    def _chance(self) -> float | None:
        """The share of the questions that guessing gets right."""
        questions = self._material.questions
        return sum(1 / len(item.options) for item in questions) / len(questions) if questions else None

    def _pick_texts(self, questions: Sequence[Question]) -> list[int]:
        """For each question the option whose text is likeliest as its answer; none where the template hides one."""
        of_each = [option_rows(item, self._job.tokenizer, self._job.recipe.model.template_args) for item in questions]
        rows_of = [rows for rows in of_each if rows is not None]
        if len(rows_of) < len(of_each):
            return []
        scores = iter(self._option_log_likelihoods([row for rows in rows_of for row in rows]))
        return [likeliest([next(scores) for _ in rows], rows) for rows in rows_of]

    def _option_log_likelihoods(self, rows: Sequence[OptionRow]) -> list[float]:
        """Nats of each option's own tokens, given what stands before them."""
        found = [0.0] * len(rows)
        firsts = [row.start - 1 for row in rows]
        for number, logits in self._each_logits([row.ids for row in rows], firsts, QUESTION_BATCH):
            row = rows[number]
            found[number] = log_likelihood(logits[:-1], row.ids[row.start :])
        return found

    def _pick_letters(self, questions: Sequence[Question]) -> list[int]:
        """For each question the letter that the model finds likeliest after it as a user's turn."""
        tokenizer = self._job.tokenizer
        letters = [tokenizer(letter, add_special_tokens=False)["input_ids"][-1] for letter in LETTERS]
        prompts = [self._prompt_ids(_question_text(question)) for question in questions]
        picked = [0] * len(prompts)
        firsts = [len(prompt) - 1 for prompt in prompts]
        for number, logits in self._each_logits(prompts, firsts, QUESTION_BATCH):
            picked[number] = int(logits[-1, letters].argmax())
        return picked

    def _diverge(self, step: int) -> list[tuple[float, int]]:
        """(nats of KL, tokens) of each of the base's answers."""
        if not self._material.prompts:
            return []
        from safetensors import safe_open

        # Read one after the other: all of them together are large.
        with safe_open(self._base_distributions(step), "pt") as kept:
            count = len(kept.keys()) // 3
            rows = [kept.get_tensor(f"ids-{number}").tolist() for number in range(count)]
            found = [(0.0, 0)] * count
            firsts = [int(kept.get_tensor(f"start-{number}")) - 1 for number in range(count)]
            for number, logits in self._each_logits(rows, firsts, LANGUAGE_BATCH):
                answer = logits[:-1].float().log_softmax(-1).cpu()
                base = kept.get_tensor(f"base-{number}").float()
                found[number] = (float((answer.exp() * (answer - base)).sum()), len(answer))
        return found

    def _base_distributions(self, step: int) -> Path:
        from safetensors.torch import save_file

        path = self._job.folder.path / "probe" / "base.safetensors"
        if step == 0 or not path.exists():
            path.parent.mkdir(exist_ok=True)
            save_file(self._record_base(), path)
        return path

    def _record_base(self) -> "dict[str, torch.Tensor]":
        """The base's greedy answers with its log-probabilities at each of their tokens."""
        import torch

        starts = [self._prompt_ids(prompt) for prompt in self._material.prompts[:KL_PROMPTS]]
        answers = greedy_answers(self._job.model, self._job.tokenizer, starts, ANSWER_TOKENS)
        pairs = [(start, start + answer) for start, answer in zip(starts, answers, strict=True) if answer]
        vocabulary = int(self._job.model.get_output_embeddings().weight.shape[0])
        room = accumulate((len(ids) - len(start)) * vocabulary for start, ids in pairs)
        pairs = [pair for pair, entries in zip(pairs, room, strict=True) if entries <= KEPT_ENTRIES]
        kept: dict[str, torch.Tensor] = {}
        firsts = [len(start) - 1 for start, _ in pairs]
        for number, logits in self._each_logits([ids for _, ids in pairs], firsts, LANGUAGE_BATCH):
            start, ids = pairs[number]
            answer = logits[:-1].float().log_softmax(-1).cpu()
            kept[f"ids-{number}"] = torch.tensor(ids)
            kept[f"start-{number}"] = torch.tensor(len(start))
            # Half precision reaches down to -65504, far below what decides the divergence.
            kept[f"base-{number}"] = answer.clamp(min=-60000.0).half()
        return kept

    def _answers(self, prompts: list[str]) -> list[str]:
        ids = [self._prompt_ids(prompt) for prompt in prompts]
        answers = greedy_answers(self._job.model, self._job.tokenizer, ids, ANSWER_TOKENS)
        return [answer_text(self._job.tokenizer, answer) for answer in answers]

    def _prompt_ids(self, text: str) -> list[int]:
        messages = [{"role": "user", "content": text}]
        return encode_prompt(messages, self._job.tokenizer, self._job.recipe.model.template_args)

    def _each_logits(
        self, rows: Sequence[list[int]], firsts: Sequence[int], most: int
    ) -> "Iterator[tuple[int, torch.Tensor]]":
        return each_logits(self._job.model, self._job.tokenizer.pad_token_id, rows, firsts, most)


def make_probe(job: Job, earlier: dict[str, float] | None) -> ForgettingProbe | None:
    """The job's probe, or None where the recipe wants none or the model tells no next token."""
    settings = job.recipe.probe
    if settings.source is None or job.recipe.method == "reward" or not job.tokenizer.chat_template:
        return None
    source = Path(model_source(job.recipe.model.name, job.root))
    material = probe_material(settings.source, source if source.is_dir() else None, job.root)
    return ForgettingProbe(job, material, earlier)


def _plain(intervals: dict[str, Interval]) -> dict[str, list[float]]:
    return {name: [low, high] for name, (low, high) in intervals.items()}


def _question_text(question: Question) -> str:
    lines = [f"{LETTERS[number]}) {option}" for number, option in enumerate(question.options)]
    return "\n".join([question.text, *lines, "Answer with the letter."])


def _passage_ids(job: Job, text: str) -> list[int]:
    ids: list[int] = job.tokenizer(text)["input_ids"]
    return ids[:MAX_PASSAGE_TOKENS]
