"""Answers of a model behind an endpoint to many examples, several requests at once."""

from collections.abc import Callable, Sequence

from rung.engine.core.files import canonical_json, sha256_text
from rung.engine.generation.endpoint import ChatDecoding, ChatEndpoint, ChatReply
from rung.engine.jobs.events import Event, Phase
from rung.engine.ladder.answers import Answer, AnswerStore
from rung.engine.ladder.prompts import BuiltPrompt, build_messages
from rung.engine.ladder.sources import Material
from rung.engine.ladder.spec import CandidateSpec
from rung.engine.project.schema import EndpointModel

# The services' words for how an answer ended, in ours.
_STOP_REASONS = {"stop": "end", "length": "length"}


def answer_by_endpoint(
    endpoint: EndpointModel,
    spec: CandidateSpec,
    material: Sequence[Material],
    store: AnswerStore,
    report: Callable[[Event], None],
) -> None:
    """Answer all that is not in the store yet; each answer is kept as it comes, and so is it when one is refused for
    good. Raises EngineError when the endpoint fails, or refuses everything."""
    missing = [item for item in material if item.example.id not in store.answers]
    prompts = [build_messages(spec, item.example, item.shots, item.chunks) for item in missing]
    done = len(material) - len(missing)
    conversations = [prompt.messages for prompt in prompts]
    with ChatEndpoint(endpoint) as chat:
        for index, reply in chat.stream_replies(conversations, chat_decoding(spec), keep_refused=True):
            store.add([_as_answer(missing[index], prompts[index], reply)])
            done += 1
            report(Phase("evaluate", done, len(material), "answers"))


def chat_decoding(spec: CandidateSpec) -> ChatDecoding:
    """The candidate's decoding in the endpoint's words; a seed is sent only where something is drawn."""
    own = spec.decoding
    seed = own.seed if own.temperature > 0 else None
    return ChatDecoding(own.max_new_tokens, own.temperature, own.top_p, seed, tuple(own.stop))


def _as_answer(item: Material, prompt: BuiltPrompt, reply: ChatReply) -> Answer:
    seconds = round(reply.seconds + item.search_seconds, 4)
    return Answer(
        example=item.example.id,
        prompt_hash=sha256_text(canonical_json(prompt.messages))[:16],
        answer=reply.text.strip(),
        tokens_in=reply.tokens_in,
        tokens_out=reply.tokens_out,
        seconds=seconds,
        stop_reason=_STOP_REASONS.get(reply.finish_reason, reply.finish_reason),
        chunks=[{"id": chunk.id, "source": chunk.label, "text": chunk.text} for chunk in prompt.chunks],
        cuts=list(prompt.cuts),
        # A refusal comes at once: its time says nothing of an answer's.
        latency_s=None if reply.refusal else seconds,
        refusal=reply.refusal,
    )
