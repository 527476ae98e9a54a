"""Replies of a model to conversations, kept as they come: a run that breaks off asks only for the rest."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rung.engine.core.errors import EngineError
from rung.engine.core.files import append_json_line, canonical_json, cut_torn_line, read_json_lines, sha256_text
from rung.engine.data.encode import encode_prompt, stop_ids
from rung.engine.data.shapes import Message
from rung.engine.generation.client import Decoding
from rung.engine.generation.endpoint import ChatDecoding, ChatEndpoint
from rung.engine.jobs.events import Event
from rung.engine.models.load import context_length, free_memory
from rung.engine.training.methods.feedback import Reply

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from rung.engine.generation.batched import Generated, Request
    from rung.engine.project.schema import EndpointModel

Numbered = Iterator[tuple[int, Reply]]


class Speaker(Protocol):
    """A model that answers conversations. `who` says everything that decides its answers."""

    who: dict[str, Any]

    def speak(self, conversations: Sequence[list[Message]]) -> Numbered:
        """The number of each conversation with the reply to it, as they come."""

    def close(self) -> None:
        """Give the memory back."""


class KeptReplies:
    """Asks a speaker for what `file` doesn't have. `asked` counts what it was asked for."""

    def __init__(self, file: Path, speaker: Speaker, before_asking: Callable[[], None] = lambda: None) -> None:
        cut_torn_line(file)
        self._file = file
        self._speaker = speaker
        self._before_asking = before_asking
        self._known = {line["key"]: Reply(line["text"], line["end"]) for line in read_json_lines(file)}
        self.asked = 0

    def ask(self, conversations: Sequence[list[Message]]) -> list[Reply]:
        """The replies, in the order of the conversations. Raises EngineError when the model can't be had."""
        keys = [reply_key(turns, self._speaker.who) for turns in conversations]
        missing = {key: turns for key, turns in zip(keys, conversations, strict=True) if key not in self._known}
        if missing:
            self._before_asking()
            self._ask(missing)
        return [self._known[key] for key in keys]

    def _ask(self, missing: dict[str, list[Message]]) -> None:
        names = list(missing)
        try:
            for number, reply in self._speaker.speak(list(missing.values())):
                append_json_line(self._file, {"key": names[number], "text": reply.text, "end": reply.end})
                self._known[names[number]] = reply
                self.asked += 1
        except EngineError as error:
            hint = f"{error.hint}; " if error.hint else ""
            kept = f"{len(self._known)} replies are kept"
            raise EngineError(
                error.message, f"{error.details}\n{kept}".strip(), f"{hint}rung resume goes on where it stopped"
            ) from error


class LocalSpeaker:
    """A model on this machine, loaded when it is first asked."""

    def __init__(
        self,
        who: dict[str, Any],
        load: Callable[[], Any],
        tokenizer: "PreTrainedTokenizerBase",
        *,
        template_args: dict[str, Any],
        max_new_tokens: int,
        temperature: float,
        batch_size: int,
        seed: int,
        report: Callable[[Event], None],
    ) -> None:
        self.who = {**who, "max_new_tokens": max_new_tokens, "temperature": temperature, "seed": seed}
        self._load = load
        self._tokenizer = tokenizer
        self._template_args = template_args
        self._max_new_tokens = max_new_tokens
        self._temperature = temperature
        self._batch_size = batch_size
        self._report = report
        self._model: Any = None

    def speak(self, conversations: Sequence[list[Message]]) -> Numbered:
        """Batch by batch, those of like length together; a batch that doesn't fit in memory is halved."""
        import torch

        from rung.engine.generation.batch_sizes import plan_batches
        from rung.engine.generation.batched import Request
        from rung.engine.generation.greedy import answer_text
        from rung.engine.generation.within_memory import answer_within_memory

        if self._model is None:
            # The adapter that will be trained draws its weights later, and must draw the same ones after a break.
            with torch.random.fork_rng():
                self._model = self._load()
        context = context_length(self._model.config)
        prompts = [encode_prompt(turns, self._tokenizer, self._template_args) for turns in conversations]
        fitting: list[tuple[Request, int]] = []
        for number, ids in enumerate(prompts):
            room = self._max_new_tokens if context is None else min(self._max_new_tokens, context - len(ids))
            if room <= 0:
                yield number, Reply("", "no_room")
                continue
            # The seed is the conversation's own, so that a reply does not depend on what was asked before a break.
            fitting.append((Request(ids, room, int(reply_key(conversations[number], self.who)[:7], 16)), number))
        fitting.sort(key=lambda pair: -pair[0].size)
        numbers = iter([number for _, number in fitting])
        for batch in plan_batches([request for request, _ in fitting], self._batch_size):
            for answer in answer_within_memory(self._answer, batch, self._report):
                text = answer_text(self._tokenizer, answer.ids)
                yield next(numbers), Reply(text, "end" if answer.stop_reason == "end" else "length")

    def close(self) -> None:
        """Give the memory back."""
        self._model = None
        free_memory()

    def _answer(self, batch: "Sequence[Request]") -> "list[Generated]":
        from rung.engine.generation.batched import generate_batch
        from rung.engine.generation.greedy import model_stop_ids

        decoding = Decoding(max_new_tokens=self._max_new_tokens, temperature=self._temperature)
        stops = frozenset(stop_ids(self._tokenizer, model_stop_ids(self._model)))
        return generate_batch(self._model, self._model, self._tokenizer, batch, decoding, stops)


class EndpointSpeaker:
    """A model behind a service. Where it is reached, and how fast, says nothing about its answers."""

    def __init__(self, endpoint: "EndpointModel", max_new_tokens: int) -> None:
        self.who = {"endpoint": endpoint.model, "max_new_tokens": max_new_tokens}
        self._endpoint = endpoint
        self._max_new_tokens = max_new_tokens

    def speak(self, conversations: Sequence[list[Message]]) -> Numbered:
        """As the service gives them, several at once."""
        with ChatEndpoint(self._endpoint) as endpoint:
            decoding = ChatDecoding(self._max_new_tokens)
            for number, reply in endpoint.stream_replies(conversations, decoding, keep_refused=True):
                yield number, Reply(reply.text, reply.end)

    def close(self) -> None:
        """Nothing is held between two questions."""


def reply_key(turns: Sequence[Message], who: dict[str, Any]) -> str:
    """Under which name a reply is kept: a hash of all that decides it."""
    return sha256_text(canonical_json({"turns": list(turns), "who": who}))[:16]
