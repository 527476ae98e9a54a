"""A language model behind an OpenAI-compatible chat endpoint: answers with their tokens and times, many at once."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from rung.engine.core.errors import EngineError
from rung.engine.generation.endpoint_requests import RefusedError, Requests

if TYPE_CHECKING:
    from rung.engine.project.schema import EndpointModel

Messages = Sequence[Mapping[str, Any]]
Found = TypeVar("Found")
# As many refusals before the first answer are the service's matter (a field that it doesn't know, a wrong model).
_ALL_REFUSED = 8


@dataclass(frozen=True)
class ChatReply:
    """One answer. Tokens are None where the service doesn't count them; seconds are those of the request that
    succeeded; `finish_reason` is the service's word: stop, length, content_filter. `refusal` says why there is no
    answer to be had, "" for an answer."""

    text: str
    tokens_in: int | None
    tokens_out: int | None
    seconds: float
    finish_reason: str
    refusal: str = ""

    @property
    def end(self) -> Literal["end", "length", "refused"]:
        """How it ended: by itself, cut off at the limit, or refused for what it says."""
        if self.refusal:
            return "refused"
        return "length" if self.finish_reason == "length" else "end"


@dataclass(frozen=True)
class ChatDecoding:
    """How an answer is generated."""

    max_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()


class ChatEndpoint:
    """Connections to one endpoint. The key is read from the environment and appears in no message, repr or file.

    Busy and failing services (408, 429, 5xx, time-outs, broken connections) are asked again, `retries` times, after
    the wait they ask for or 1, 2, 4, … seconds. Use as a context manager, or call `close`.
    """

    def __init__(
        self,
        settings: "EndpointModel",
        *,
        retries: int = 5,
        environment: Mapping[str, str] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._requests = Requests(settings, retries, os.environ if environment is None else environment, sleep)
        self._token_field = "max_tokens"

    def __repr__(self) -> str:
        return f"ChatEndpoint({self._settings.name!r}, {self._requests!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connections."""
        self._requests.close()

    def complete(self, messages: Messages, decoding: ChatDecoding = ChatDecoding()) -> ChatReply:
        """The model's answer to a conversation. Raises EngineError when the service can't or won't give one."""
        payload = {
            "model": self._settings.model,
            "messages": [dict(message) for message in messages],
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
        }
        if decoding.seed is not None:
            payload["seed"] = decoding.seed
        if decoding.stop:
            payload["stop"] = list(decoding.stop)
        response, seconds = self._post(payload, decoding.max_tokens)
        return self._reply(response, seconds)

    def stream_replies(
        self,
        conversations: Sequence[Messages],
        decoding: ChatDecoding = ChatDecoding(),
        *,
        keep_refused: bool = False,
    ) -> Iterator[tuple[int, ChatReply]]:
        """Index and answer of each conversation as they come, at most `concurrency` requests at once.

        When one fails, those on their way are still given before its EngineError is raised. Closing the iterator asks
        nothing more. With `keep_refused`, a conversation that the service refuses for what it says is given as such a
        reply, and the others go on; unless the first ones are all refused, which no conversation is to blame for.
        """
        if keep_refused:
            yield from self._with_refused(conversations, decoding)
            return
        yield from self._stream(conversations, self.complete, decoding)

    def _with_refused(
        self, conversations: Sequence[Messages], decoding: ChatDecoding
    ) -> Iterator[tuple[int, ChatReply]]:
        def complete(messages: Messages, decoding: ChatDecoding) -> ChatReply | RefusedError:
            try:
                return self.complete(messages, decoding)
            except RefusedError as refused:
                if refused.is_about_the_request:
                    return refused
                raise

        held: dict[int, RefusedError] = {}  # until one answer shows that the service answers at all
        answers = False
        for index, found in self._stream(conversations, complete, decoding):
            if isinstance(found, RefusedError):
                held[index] = found
                if not answers and len(held) >= _ALL_REFUSED:
                    break
            else:
                answers = True
                yield index, found
            while answers and held:
                refused, error = held.popitem()
                yield refused, ChatReply("", None, None, 0.0, "refused", error.details)
        if held:
            raise next(iter(held.values()))

    def _stream(
        self,
        conversations: Sequence[Messages],
        complete: Callable[[Messages, ChatDecoding], Found],
        decoding: ChatDecoding,
    ) -> Iterator[tuple[int, Found]]:
        waiting = iter(enumerate(conversations))
        running: dict[Future[Found], int] = {}
        failed: EngineError | None = None
        with ThreadPoolExecutor(self._settings.concurrency, thread_name_prefix="endpoint") as pool:
            while True:
                while failed is None and len(running) < self._settings.concurrency:
                    index, messages = next(waiting, (-1, ()))
                    if index < 0:
                        break
                    running[pool.submit(complete, messages, decoding)] = index
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    index = running.pop(future)
                    try:
                        reply = future.result()
                    except EngineError as error:
                        failed = failed or error
                        continue
                    yield index, reply
        if failed is not None:
            raise failed

    def complete_all(
        self,
        conversations: Sequence[Messages],
        decoding: ChatDecoding = ChatDecoding(),
    ) -> list[ChatReply]:
        """The answers to many conversations, in their order."""
        return self._in_order(conversations, self.stream_replies(conversations, decoding))

    def generate(self, conversations: Sequence[Messages]) -> list[str]:
        """The texts of the answers alone, at temperature 0, long enough for a judge's reasons; "" for a refused one."""
        replies = self.stream_replies(conversations, ChatDecoding(max_tokens=1_024), keep_refused=True)
        return [reply.text for reply in self._in_order(conversations, replies)]

    @staticmethod
    def _in_order(conversations: Sequence[Messages], found: Iterator[tuple[int, ChatReply]]) -> list[ChatReply]:
        replies = dict(found)
        return [replies[index] for index in range(len(conversations))]

    def list_models(self) -> list[str]:
        """The models that the service names. Raises EngineError if it names none."""
        response, _ = self._requests.send("GET", "/models", None)
        try:
            return sorted(str(model["id"]) for model in response["data"])
        except (KeyError, TypeError):
            raise self._requests.error("gave no list of models", self._requests.shown(str(response))[:300]) from None

    def _post(self, payload: dict[str, Any], max_tokens: int) -> tuple[Any, float]:
        try:
            return self._requests.send("POST", "/chat/completions", payload | {self._token_field: max_tokens})
        except RefusedError as refused:
            # Newer services know the limit by another name, and say so.
            if self._token_field == "max_tokens" and "max_completion_tokens" in refused.details:
                self._token_field = "max_completion_tokens"
                return self._requests.send("POST", "/chat/completions", payload | {self._token_field: max_tokens})
            raise

    def _reply(self, response: Any, seconds: float) -> ChatReply:
        try:
            choice = response["choices"][0]
            text, refusal = _read_message(choice["message"])
            usage = response.get("usage") or {}
            finish_reason = str(choice.get("finish_reason") or "stop")
        except (KeyError, IndexError, TypeError, AttributeError):
            raise self._requests.error("gave no answer", self._requests.shown(str(response))[:300]) from None
        if finish_reason == "content_filter":
            refusal = refusal or "the service's content filter"
        tokens = usage.get("prompt_tokens"), usage.get("completion_tokens")
        return ChatReply(text, *tokens, seconds, finish_reason, self._requests.shown(refusal))


def _read_message(message: Mapping[str, Any]) -> tuple[str, str]:
    """A message's text, and why it is refused ("" where it is not). The content may be a text, or a list of parts."""
    content = message.get("content") or ""
    refusals = [str(message["refusal"])] if message.get("refusal") else []
    if isinstance(content, str):
        return content, "" if content else "".join(refusals)
    texts = []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif part.get("type") == "refusal":
            refusals.append(str(part.get("refusal") or "refused"))
        elif part.get("type", "text") in ("text", "output_text"):
            texts.append(str(part["text"]))
    # What else there is, a reasoning model's thoughts for example, is no part of the answer.
    return "".join(texts), "" if texts else "".join(refusals)
