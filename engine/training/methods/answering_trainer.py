"""What GRPO's and RLOO's trainers share. Imports the training stack: only their methods' files load it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch.utils.data import Sampler
from trl.trainer.utils import use_adapter

from rung.engine.training.methods.batches import RepeatedPrompts

GENERATION_FILE = "generation.safetensors"
NGRAM = 4


class AnsweringTrainer:
    """Mixed into a TRL trainer that samples answers.

    Prompts are encoded by engine/data and known to TRL by their number; evaluations draw from a generator of their own,
    so that they leave the training as it is; answers that are learned from in several steps survive a stop.
    """

    _prompt_ids: list[list[int]]
    kl_reference: Any = None
    _tokens_before: int | None = None

    def take_prompts(self, ids: list[list[int]]) -> None:
        """The ids of each example's prompt, by the example's number."""
        self._prompt_ids = ids

    def prompt_length(self, number: int) -> int:
        """Tokens of an example's prompt."""
        return len(self._prompt_ids[number])

    @property
    def _steps_an_answer(self: Any) -> int:
        """Forward passes over which the same answers are used."""
        steps: int = self.args.steps_per_generation * self.num_iterations
        return steps

    def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return [list(self._prompt_ids[int(number)]) for number in prompts], None, {}

    def _get_train_sampler(self: Any, dataset: object = None) -> Sampler[int]:
        return RepeatedPrompts(
            count=len(self.train_dataset),
            generations=self.num_generations,
            prompts_at_once=self.args.generation_batch_size // self.num_generations,
            repeats=self.num_iterations * self.args.steps_per_generation,
            seed=self.args.seed,
        )

    def evaluate(self: Any, *args: Any, **options: Any) -> dict[str, float]:
        """The figures of the validation prompts, their answers drawn with the run's seed each time."""
        with torch.random.fork_rng():
            torch.manual_seed(self.args.seed)
            figures: dict[str, float] = super().evaluate(*args, **options)  # type: ignore[misc]
        return figures

    def _generate(self: Any, prompts: list[str]) -> Any:
        if self._tokens_before is None:
            self._tokens_before = self.state.num_input_tokens_seen
        return super()._generate(prompts)  # type: ignore[misc]

    def log(self: Any, logs: dict[str, float], *args: Any, **options: Any) -> None:
        """TRL counts tokens over all sittings; a run's callback adds the earlier ones itself."""
        counted = self._metrics["train"].get("num_tokens")
        if counted and self.model.training:
            self._metrics["train"]["num_tokens"] = [count - (self._tokens_before or 0) for count in counted]
        super().log(logs, *args, **options)  # type: ignore[misc]

    def _calculate_rewards(self: Any, inputs: Any, prompts: Any, completions: Any, completion_ids: Any) -> Any:
        mode = "train" if self.model.training else "eval"
        repeated = [repetition(ids) for ids in completion_ids]
        self._metrics[mode]["completions/repetition"].append(sum(repeated) / len(repeated))
        return super()._calculate_rewards(inputs, prompts, completions, completion_ids)  # type: ignore[misc]

    def _generate_and_score_completions(self: Any, inputs: Any) -> Any:
        output = super()._generate_and_score_completions(inputs)  # type: ignore[misc]
        if self.kl_reference is not None:
            mode = "train" if self.model.training else "eval"
            self._metrics[mode]["kl"].append(self._measured_kl(output))
        return output

    def _measured_kl(self: Any, output: dict[str, Any]) -> float:
        """KL of the policy from the reference on its own answers (Schulman's k3 estimator), nats a token."""
        ids = torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1)
        mask = torch.cat([output["prompt_mask"], output["completion_mask"]], dim=1)
        kept = output["completion_ids"].size(1)
        size = self.args.per_device_train_batch_size
        with torch.no_grad():
            now = self._get_per_token_logps_and_entropies(self.model, ids, mask, kept, batch_size=size)[0]
            with self._as_reference():
                then = self._get_per_token_logps_and_entropies(self.kl_reference, ids, mask, kept, batch_size=size)[0]
        ratio = (then - now).float()
        answered = output["completion_mask"]
        return float(((ratio.exp() - ratio - 1) * answered).sum() / answered.sum().clamp(min=1))

    @contextlib.contextmanager
    def _as_reference(self: Any) -> Iterator[None]:
        if self.kl_reference is not self.model:
            yield
            return
        model = self.accelerator.unwrap_model(self.model)
        with use_adapter(model, adapter_name="ref" if "ref" in model.peft_config else None):
            yield

    def _save_checkpoint(self: Any, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)  # type: ignore[misc]
        state = {"step": torch.tensor(self._step), "parts_a_step": torch.tensor(self.args.gradient_accumulation_steps)}
        if self._step % self._steps_an_answer:
            for number, batch in enumerate(self._buffered_inputs):
                state |= {f"{number}.{name}": value.contiguous().clone() for name, value in batch.items()}
        save_file(state, Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}" / GENERATION_FILE)

    def _load_optimizer_and_scheduler(self: Any, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)  # type: ignore[misc]
        if checkpoint is None:
            return
        state = load_file(Path(checkpoint) / GENERATION_FILE, device=str(self.accelerator.device))
        parts, parts_then = self.args.gradient_accumulation_steps, int(state.pop("parts_a_step"))
        self._step = int(state.pop("step")) * parts // parts_then
        if state and parts == parts_then:  # In other parts, the prompts are answered again.
            count = 1 + max(int(key.partition(".")[0]) for key in state)
            batches: list[dict[str, Any]] = [{} for _ in range(count)]
            for key, value in state.items():
                number, _, name = key.partition(".")
                batches[int(number)][name] = value
            self._buffered_inputs = batches


def repetition(ids: list[int]) -> float:
    """Share of an answer's runs of four tokens that stand in it before."""
    runs = [tuple(ids[at : at + NGRAM]) for at in range(len(ids) - NGRAM + 1)]
    return 1.0 - len(set(runs)) / len(runs) if runs else 0.0
