"""Which tokens are learned, under the chat templates that the installed trl ships and under our own."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.data.encode import Encoded, encode, encode_prompt
from rung.engine.data.shapes import Conversation, Passage
from rung.engine.data.template import TurnsRefused
from rung.engine.models.load import TEMPLATE_FOLDER
from tests.helpers.tiny import make_byte_tokenizer

TURNS = [
    {"role": "user", "content": "What is red?"},
    {"role": "assistant", "content": "A warm colour."},
    {"role": "user", "content": "And blue?"},
    {"role": "assistant", "content": "A cold one."},
]
THOUGHT = [
    TURNS[0],
    TURNS[1] | {"reasoning_content": "Red is warm."},
    TURNS[2],
    TURNS[3] | {"reasoning_content": "Blue is cold."},
]
INLINE = [
    TURNS[0],
    {"role": "assistant", "content": "<think>\nRed is warm.\n</think>\n\nA warm colour."},
    TURNS[2],
    {"role": "assistant", "content": "<think>\nBlue is cold.\n</think>\n\nA cold one."},
]
CALL = {"type": "function", "id": "abcdefghi", "function": {"name": "weather", "arguments": {"city": "Oslo"}}}
CALLED = [
    {"role": "user", "content": "Rain in the capital?"},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": "DRIZZLE", "name": "weather", "tool_call_id": "abcdefghi"},
    {"role": "assistant", "content": "It rains."},
]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string", "description": "where"}}}
TOOL = {"name": "weather", "description": "Tells the weather", "parameters": PARAMETERS | {"required": ["city"]}}
TOOLS = [{"type": "function", "function": TOOL}]
SPEC = find_spec("trl")
FOLDER = Path(SPEC.origin).parent / "chat_templates" if SPEC and SPEC.origin else Path()
TEMPLATES = sorted(FOLDER.glob("*.jinja"))
OURS = sorted(TEMPLATE_FOLDER.glob("*.jinja"))
every_template = pytest.mark.parametrize("template", [*TEMPLATES, *OURS], ids=lambda path: path.stem)
# Their turns end where the next one begins: there is no end of an answer to learn.
WITHOUT_END = ("glm4moe",)


@cache
def tokenizer_with(template: Path) -> Any:
    tokenizer = make_byte_tokenizer(template.read_text(), context=100_000)
    # Ends of turns are special tokens in the families' real tokenizers, so they are here.
    ends = ["<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>", "<|return|>", "</s>", "<|END_OF_TURN_TOKEN|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": ends})
    return tokenizer


def encoded(template: Path, turns: list[dict[str, Any]], loss_on: Any, tools: list[Any] | None = None) -> Encoded:
    item = encode(Conversation(turns, "here", 1, tools), tokenizer_with(template), 100_000, loss_on)
    assert len(item.input_ids) == len(item.labels)
    assert all(label in (-100, token) for token, label in zip(item.input_ids, item.labels, strict=True))
    return item


def learned(template: Path, item: Encoded) -> list[str]:
    """The texts that are learned, one for each unbroken stretch of tokens."""
    stretches: list[list[int]] = [[]]
    for label in item.labels:
        if label != -100:
            stretches[-1].append(label)
        elif stretches[-1]:
            stretches.append([])
    return [str(tokenizer_with(template).decode(ids)) for ids in stretches if ids]


def whole(template: Path, item: Encoded) -> str:
    return str(tokenizer_with(template).decode(item.input_ids))


@every_template
def test_every_answer_is_learned_with_its_end_and_no_question_is(template: Path) -> None:
    item = encoded(template, TURNS, "assistant")
    first, last = learned(template, item)
    assert "A warm colour." in first and "A cold one." in last
    for question in ("What is red?", "And blue?"):
        assert question not in first + last and question in whole(template, item)
    if template.stem not in WITHOUT_END:
        assert not last.endswith("A cold one."), "the end of the answer is learned with it"
    assert item.left_out == ""


@every_template
def test_of_the_last_turn_only_the_last_answer_is_learned(template: Path) -> None:
    (last,) = learned(template, encoded(template, TURNS, "last_turn"))
    assert "A cold one." in last
    for turn in TURNS[:3]:
        assert turn["content"] not in last


@every_template
@pytest.mark.parametrize("turns", [THOUGHT, INLINE], ids=["field", "inline"])
def test_reasoning_is_learned_where_it_is_written_and_told_where_it_is_not(
    template: Path, turns: list[dict[str, Any]]
) -> None:
    for loss_on, thoughts in (("assistant", ["Red is warm.", "Blue is cold."]), ("last_turn", ["Blue is cold."])):
        item = encoded(template, turns, loss_on)
        text, parts = whole(template, item), learned(template, item)
        assert len(parts) == len(thoughts)
        assert "A cold one." in parts[-1]
        for question in ("What is red?", "And blue?"):
            assert question not in "".join(parts)
        for thought in thoughts:
            assert ("".join(parts).count(thought)) == text.count(thought), "a thought in the text is learned"
        missing = [thought for thought in thoughts if thought not in text]
        assert item.left_out == ("reasoning" if missing else "")


@every_template
def test_tool_calls_are_learned_or_the_row_is_refused(template: Path) -> None:
    try:
        item = encoded(template, CALLED, "assistant", TOOLS)
    except TurnsRefused as error:
        assert error.reason.startswith(("the chat template refuses these turns", "the chat template leaves out tool"))
        return
    call, answer = learned(template, item)
    assert "weather" in call and "Oslo" in call
    assert "It rains." in answer and "weather" not in answer
    for given in ("DRIZZLE", "Rain in the capital?", "Tells the weather"):
        assert given not in call + answer
    assert item.left_out == ("" if "Tells the weather" in whole(template, item) else "tools")
    assert learned(template, encoded(template, CALLED, "last_turn", TOOLS)) == [answer]


def test_most_templates_write_tool_calls() -> None:
    refused = []
    for template in TEMPLATES:
        try:
            encoded(template, CALLED, "assistant", TOOLS)
        except TurnsRefused:
            refused.append(template.stem)
    assert len(refused) < len(TEMPLATES) / 2
    assert {"qwen3", "gptoss", "llama3_1", "deepseekv3", "gemma4", "nemotron_3_nano"}.isdisjoint(refused)
    # They drop the calls without a word: the model would learn to answer with nothing.
    assert {"llama3", "phi3", "qwen2_5_vl", "lfm2"} <= set(refused)


@pytest.mark.parametrize("name", ["qwen2_5", "qwen3_5_think", "deepseekv3", "llama3_1"])
def test_arguments_as_text_are_the_same_as_an_object(name: str) -> None:
    template = FOLDER / f"{name}.jinja"
    function = CALL["function"] | {"arguments": '{"city": "Oslo"}'}  # type: ignore[operator]
    as_text = [CALLED[0], CALLED[1] | {"tool_calls": [CALL | {"function": function}]}, *CALLED[2:]]
    one, other = encoded(template, CALLED, "assistant", TOOLS), encoded(template, as_text, "assistant", TOOLS)
    assert (one.input_ids, one.labels) == (other.input_ids, other.labels)


@pytest.mark.parametrize("name", ["qwen3", "qwen3_training", "llama3", "deepseekv3_training"])
def test_a_turn_with_weight_zero_is_not_learned(name: str) -> None:
    template = FOLDER / f"{name}.jinja"
    turns = [TURNS[0], TURNS[1] | {"weight": 0}, *TURNS[2:]]
    (only,) = learned(template, encoded(template, turns, "assistant"))
    assert "A cold one." in only and "A warm colour." not in only


def test_a_stop_that_an_earlier_answer_does_not_end_in_is_not_learned() -> None:
    template = FOLDER / "gptoss.jinja"
    first, last = learned(template, encoded(template, TURNS, "assistant"))
    assert first == "<|channel|>final<|message|>A warm colour.", (
        "in the chat it ends in <|end|>, generated in <|return|>"
    )
    assert last == "<|channel|>final<|message|>A cold one.<|return|>"


def test_a_cue_that_opens_a_thought_does_not_cut_a_token_in_two() -> None:
    template = FOLDER / "deepseek_r1_distill.jinja"
    turns = [TURNS[0], {"role": "assistant", "content": "<b>A warm colour.</b>"}]
    (only,) = learned(template, encoded(template, turns, "assistant"))
    assert only.startswith("<b>A warm colour.")


@pytest.mark.parametrize("template", OURS, ids=lambda path: path.stem)
def test_our_templates_learn_their_stop_token_and_meet_the_prompt(template: Path) -> None:
    tokenizer = tokenizer_with(template)
    item = encode(Conversation(TURNS, "here", 1), tokenizer, 100_000, "assistant")
    assert tokenizer.eos_token_id in item.labels
    prompt = encode_prompt(TURNS[:3], tokenizer)
    assert item.input_ids[: len(prompt)] == prompt, "training sees what generation is prompted with"
    assert set(item.labels[len(prompt) - 1 : len(prompt)]) == {-100}
    assert item.labels[len(prompt)] != -100


def test_all_tokens_and_running_text() -> None:
    tokenizer = make_byte_tokenizer()
    item = encode(Conversation(TURNS, "here", 1), tokenizer, 100_000, "all")
    assert item.labels == item.input_ids
    passage = encode(Passage("Once upon a time", "here", 1), tokenizer, 100_000, "all")
    assert passage.labels == passage.input_ids and passage.input_ids[-1] == tokenizer.eos_token_id


def test_a_cut_is_counted() -> None:
    item = encode(Conversation(TURNS, "here", 7), make_byte_tokenizer(), 50, "assistant")
    assert len(item.input_ids) == 50 and item.cut > 0 and item.line == 7


def test_a_tokenizer_without_a_template_is_refused_with_an_offer() -> None:
    with pytest.raises(EngineError, match="no chat template") as caught:
        encode(Conversation(TURNS, "here", 1), make_byte_tokenizer(None), 100, "assistant")
    assert "plain" in caught.value.hint


def test_a_template_that_refuses_a_row_says_so() -> None:
    system = [{"role": "system", "content": "Be short."}, *TURNS]
    with pytest.raises(TurnsRefused) as caught:
        encoded(FOLDER / "gemma.jinja", system, "assistant")
    assert "System role not supported" in caught.value.reason
