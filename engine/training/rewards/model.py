"""Scores of conversations from a reward model: the artifact of a `reward` run, or any one-score model folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.engine.core.errors import EngineError
from rung.engine.data.pairs import encode_answers
from rung.engine.data.shapes import Conversation, Message
from rung.engine.jobs.folder import RunFolder
from rung.engine.models.attach import load_adapter
from rung.engine.models.load import load_scorer, load_tokenizer
from rung.engine.recipe.load import load_recipe
from rung.engine.recipe.schema import ModelSettings
from rung.engine.training.methods import method_of
from rung.engine.training.model import base_settings

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class RewardScorer:
    """A reward model, loaded and frozen."""

    def __init__(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        template_args: dict[str, Any] | None = None,
        batch_size: int = 16,
    ) -> None:
        self._model = model.eval().requires_grad_(False)
        self._tokenizer = tokenizer
        self._template_args = template_args
        self._batch_size = batch_size
        # The score is read at the last token that is not padding.
        self._model.config.get_text_config().pad_token_id = tokenizer.pad_token_id

    def score(self, conversations: Sequence[Sequence[Message]]) -> list[float]:
        """One score for each conversation, which ends in an answer; encoded as in the reward model's training."""
        rows = [self._encode(list(messages)) for messages in conversations]
        scores: list[float] = []
        for start in range(0, len(rows), self._batch_size):
            scores += self._score_rows(rows[start : start + self._batch_size])
        return scores

    def _encode(self, messages: list[Message]) -> list[int]:
        chat = Conversation(messages, "", 0)
        if not str(messages[-1]["content"]).strip():
            # An empty answer has no token to be learned, but it is scored: the prompt with its end.
            chat = Conversation([*messages[:-1], {**messages[-1], "content": " "}], "", 0)
        prompt, answers = encode_answers([chat], self._tokenizer, self._template_args)
        return prompt + answers[0]

    def _score_rows(self, rows: list[list[int]]) -> list[float]:
        import torch

        longest = max(map(len, rows))
        pad = self._tokenizer.pad_token_id
        device = self._model.device
        ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows], device=device)
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=device)
        with torch.no_grad():
            logits = self._model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        return [float(score) for score in logits[:, 0].float()]


def load_reward_run(run: RunFolder, root: Path, device: str) -> RewardScorer:
    """The reward model that a finished `reward` run made. Raises EngineError for any other run."""
    recipe = load_recipe(run.recipe)
    artifact = run.artifact()
    if method_of(recipe.method).task != "SEQ_CLS":
        raise EngineError(
            f"{run.id} is no reward model", f"its method is {recipe.method}", "name a run of method reward"
        )
    if artifact is None:
        raise EngineError(f"The run {run.id} has no result yet", hint="only finished runs have one")
    tokenizer = load_tokenizer(recipe.model, root)
    if artifact.name == "model":
        settings = recipe.model.model_copy(update={"name": str(artifact), "revision": None})
        return RewardScorer(load_scorer(settings, root, device), tokenizer, recipe.model.template_args)
    base = load_scorer(base_settings(recipe, root), root, device)
    return RewardScorer(load_adapter(base, artifact), tokenizer, recipe.model.template_args)


def load_reward_model(settings: ModelSettings, root: Path, device: str) -> RewardScorer:
    """A reward model from a folder or the hub, with its own tokenizer."""
    model = load_scorer(settings, root, device)
    if model.config.num_labels != 1:
        raise EngineError(f"{settings.name} is no reward model", f"it gives {model.config.num_labels} scores, not one")
    return RewardScorer(model, load_tokenizer(settings, root), settings.template_args)
