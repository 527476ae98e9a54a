"""The forgetting meter at work: general loss and KL from the base while training, questions before and after.

The questions are scored by the likelihood of the options' texts, which small models tell apart long before they answer
with a letter; the letter is asked for besides.

KL is that of the tuned model from the base over the base's own answers, in nats a token: the finest meter, since it
moves before any answer changes. The base's distributions are kept beside the run, so a full fine-tune has them too.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.data.encode import encode_prompt
from engine.events import Phase, Probe
from engine.files import read_json, write_json_atomic
from engine.models import model_source
from engine.probe.instructions import is_refusal
from engine.probe.items import COUNTS, Interval, ProbeItems, present_names
from engine.probe.options import OptionRow, likeliest, option_rows
from engine.probe.questions import LETTERS, Question
from engine.probe.source import ProbeMaterial, probe_material
from engine.worker.answers import answer_text, greedy_answers
from engine.worker.job import Job

if TYPE_CHECKING:
    import torch

ANSWER_TOKENS = 32
KL_PROMPTS = 16
# Entries of the base's distributions that are kept: 64 million of two bytes are 128 MB.
KEPT_ENTRIES = 64_000_000
MAX_PASSAGE_TOKENS = 256
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
        return [
            (-float(logged[range(len(ids) - 1), ids[1:]].sum()), len(ids) - 1)
            for ids, logged in zip(self._passages, self._log_probabilities(self._passages), strict=True)
        ]

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
        import torch

        found = [0.0] * len(rows)
        order = sorted(range(len(rows)), key=lambda number: len(rows[number].ids))
        for begin in range(0, len(order), QUESTION_BATCH):
            numbers = order[begin : begin + QUESTION_BATCH]
            logits = self._padded_logits([rows[number].ids for number in numbers])
            for number, of_row in zip(numbers, logits, strict=True):
                row = rows[number]
                # Only the option's own places are made probabilities of: the whole batch's would be twice its logits.
                logged = of_row[row.start - 1 : len(row.ids) - 1].float().log_softmax(-1)
                own = torch.tensor(row.ids[row.start :], device=logged.device)
                found[number] = float(logged.gather(1, own[:, None]).sum())
        return found

    def _pick_letters(self, questions: Sequence[Question]) -> list[int]:
        """For each question the letter that the model finds likeliest after it as a user's turn."""
        tokenizer = self._job.tokenizer
        letters = [tokenizer(letter, add_special_tokens=False)["input_ids"][-1] for letter in LETTERS]
        prompts = [self._prompt_ids(_question_text(question)) for question in questions]
        order = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
        picked = [0] * len(prompts)
        for start in range(0, len(order), QUESTION_BATCH):
            numbers = order[start : start + QUESTION_BATCH]
            logits = self._padded_logits([prompts[number] for number in numbers])
            for number, row in zip(numbers, logits, strict=True):
                picked[number] = int(row[len(prompts[number]) - 1, letters].argmax())
        return picked

    def _diverge(self, step: int) -> list[tuple[float, int]]:
        """(nats of KL, tokens) of each of the base's answers."""
        if not self._material.prompts:
            return []
        kept = self._base_distributions(step)
        rows: list[list[int]] = [kept[f"ids-{number}"].tolist() for number in range(len(kept) // 3)]
        found = []
        for number, now in enumerate(self._log_probabilities(rows)):
            start = int(kept[f"start-{number}"])
            answer, base = now[start - 1 :], kept[f"base-{number}"].float()
            found.append((float((answer.exp() * (answer - base)).sum()), len(answer)))
        return found

    def _base_distributions(self, step: int) -> "dict[str, torch.Tensor]":
        from safetensors.torch import load_file, save_file

        path = self._job.folder.path / "probe" / "base.safetensors"
        if step == 0 or not path.exists():
            path.parent.mkdir(exist_ok=True)
            save_file(self._record_base(), path)
        kept: dict[str, torch.Tensor] = load_file(path)
        return kept

    def _record_base(self) -> "dict[str, torch.Tensor]":
        """The base's greedy answers with its log-probabilities at each of their tokens."""
        import torch

        starts = [self._prompt_ids(prompt) for prompt in self._material.prompts[:KL_PROMPTS]]
        answers = greedy_answers(self._job.model, self._job.tokenizer, starts, ANSWER_TOKENS)
        pairs = [(start, start + answer) for start, answer in zip(starts, answers, strict=True) if answer]
        kept: dict[str, torch.Tensor] = {}
        entries = 0
        for (start, ids), logged in zip(pairs, self._log_probabilities([ids for _, ids in pairs]), strict=True):
            answer = logged[len(start) - 1 :]
            entries += answer.numel()
            if entries > KEPT_ENTRIES:
                break
            number = len(kept) // 3
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

    def _log_probabilities(self, rows: Sequence[list[int]]) -> "Iterator[torch.Tensor]":
        """[length - 1, vocabulary] log-probabilities of the tokens after the first, for each row of ids, on the CPU."""
        for start in range(0, len(rows), LANGUAGE_BATCH):
            batch = rows[start : start + LANGUAGE_BATCH]
            logits = self._padded_logits(batch)
            for row, row_logits in zip(batch, logits, strict=True):
                yield row_logits[: len(row) - 1].float().log_softmax(-1).cpu()

    def _padded_logits(self, rows: Sequence[list[int]]) -> "torch.Tensor":
        """[rows, longest, vocabulary]; rows are padded on the right, where causal attention doesn't look."""
        import torch

        device = self._job.model.device
        tensors = [torch.tensor(row, device=device) for row in rows]
        inputs = torch.nn.utils.rnn.pad_sequence(
            tensors, batch_first=True, padding_value=self._job.tokenizer.pad_token_id
        )
        lengths = torch.tensor([len(row) for row in rows], device=device)
        mask = (torch.arange(inputs.shape[1], device=device)[None] < lengths[:, None]).long()
        logits: torch.Tensor = self._job.model(input_ids=inputs, attention_mask=mask).logits
        return logits


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
