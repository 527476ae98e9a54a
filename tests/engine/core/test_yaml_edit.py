"""Values changed in a file's text: everything else stays to the letter."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.engine.core.errors import EngineError
from rung.engine.core.yaml_edit import edit_yaml
from rung.engine.core.yaml_text import parse_yaml
from rung.engine.recipe.schema import AdapterSettings

TEXT = """---
# head
method: sft   # the method
name: "quoted # no comment"    # q
tags:    # behind tags
    - 'a'   # first
    # between
    - b
# about the adapter
adapter:   # behind adapter
    # inside, first
    kind: lora     # k

    r: 64          # r
    # inside, last
# about data
data: {train: a.jsonl, validation: ~}   # flow
worker_python: ~  # none
training:
    learning_rate: 2.0e-4    # rate
    # last of training

    weight_decay:
empty:
system: |   # behind the bar
  one # no comment
  two

# about the end
wants: [   # behind the bracket
  'x',     # x
  y]
# the end
"""
LITERAL = "|   # behind the bar\n  one # no comment\n  two\n"


def comments(text: str) -> list[str]:
    return re.findall(r"#(?! no comment).*", re.sub(r"#\| ?", "", text))


def value(text: str) -> dict:  # type: ignore[type-arg]
    return parse_yaml(text, "the test")[0]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("field", "new", "before", "after"),
    [
        ("method", "dpo", "method: sft   # the", "method: dpo   # the"),
        ("name", "other: one", '"quoted # no comment"    # q', "'other: one'    # q"),
        ("data.validation", "a, b.jsonl", "validation: ~}", "validation: 'a, b.jsonl'}"),
        ("data.shape", "kto", "{train", "{shape: kto, train"),
        ("worker_python", "/bin/python", "python: ~  #", "python: /bin/python  #"),
        ("training.learning_rate", 5e-6, "2.0e-4    # rate", "5.0e-06    # rate"),
        ("training.weight_decay", 0.1, "weight_decay:\n", "weight_decay: 0.1\n"),
        ("training.max_steps", 7, "weight_decay:\n", "weight_decay:\n    max_steps: 7\n"),
        ("empty.inner", 1, "empty:\n", "empty:\n  inner: 1\n"),
        ("probe.limit", 0.2, "  y]\n", "  y]\nprobe:\n  limit: 0.2\n"),
        ("system", "new\nlines", LITERAL, "|-\n  new\n  lines\n# behind the bar\n"),
        ("system", "line", LITERAL, "|-\n  line\n# behind the bar\n"),
        ("system", None, LITERAL, "null\n# behind the bar\n"),
        ("wants", ["z"], "[   # behind the bracket\n  'x',     # x\n  y]", "[z]\n# behind the bracket\n# x"),
        (
            "tags", ["c"],
            "tags:    # behind tags\n    - 'a'   # first\n    # between\n    - b\n",
            "tags: [c]    # behind tags\n    # first\n    # between\n",
        ),
        (
            "adapter", None,
            "adapter:   # behind adapter\n    # inside, first\n    kind: lora     # k\n\n    r: 64          # r\n",
            "adapter: null   # behind adapter\n    #| # inside, first\n    #| kind: lora     # k\n    #|\n"
            "    #| r: 64          # r\n",
        ),
    ],
)  # fmt: skip
def test_one_value_is_replaced_and_nothing_else(field: str, new: object, before: str, after: str) -> None:
    assert TEXT.count(before) == 1
    edited = edit_yaml(TEXT, {field: new}, "the test")
    assert edited == TEXT.replace(before, after)
    assert sorted(comments(edited)) == sorted(comments(TEXT))
    windows = edit_yaml(TEXT.replace("\n", "\r\n"), {field: new}, "the test")
    assert windows == edited.replace("\n", "\r\n")


def test_a_value_that_is_there_is_no_change() -> None:
    same = {"method": "sft", "training.learning_rate": 0.0002, "data": {"train": "a.jsonl"}, "adapter.r": 64.0}
    assert edit_yaml(TEXT, same, "the test") == TEXT


def test_a_block_that_was_set_aside_comes_back_to_the_letter() -> None:
    closed = edit_yaml(TEXT, {"adapter": None}, "the test")
    opened = edit_yaml(closed, {"adapter": AdapterSettings(kind="lora")}, "the test")
    assert opened == TEXT
    changed = edit_yaml(closed, {"adapter": AdapterSettings(kind="dora")}, "the test")
    assert changed == TEXT.replace("kind: lora", "kind: dora"), "its other values are the person's"


def test_braces_that_were_set_aside_come_back() -> None:
    text = "a: 1\nadapter: {kind: lora, r: 8}   # behind\nb: 2\n"
    closed = edit_yaml(text, {"adapter": None}, "the test")
    assert closed == "a: 1\nadapter: null   # behind\n  #| {kind: lora, r: 8}\nb: 2\n"
    opened = edit_yaml(closed, {"adapter": AdapterSettings(kind="dora")}, "the test")
    assert value(opened)["adapter"] == {"kind": "dora", "r": 8} and "# behind" in opened


def test_a_new_block_has_its_comments() -> None:
    edited = edit_yaml(
        "adapter: null  # every weight\nseed: 0\n", {"adapter": AdapterSettings(kind="dora")}, "the test"
    )
    assert value(edited) == {"adapter": AdapterSettings(kind="dora").model_dump(), "seed": 0}
    assert edited.startswith("adapter:  # every weight\n  kind: dora ") and "# rank of LoRA" in edited


def test_a_new_key_stands_behind_what_is_set_aside() -> None:
    text = "a:\n  adapter: null\n    #| r: 8\nb: 1\n"
    assert edit_yaml(text, {"a.c": 1}, "the test") == "a:\n  adapter: null\n    #| r: 8\n  c: 1\nb: 1\n"


def test_a_file_of_comments_gets_its_first_value() -> None:
    assert edit_yaml("# only this\n", {"a.b": 1}, "the test") == "# only this\na:\n  b: 1\n"


def test_what_stands_elsewhere_is_not_changed_there() -> None:
    text = "rate: &rate 1\nother: *rate\nlast: 2\n"
    with pytest.raises(EngineError, match="can't be changed in place"):
        edit_yaml(text, {"other": 3}, "the test")
    with pytest.raises(EngineError, match="can't be changed in place"):
        edit_yaml(text, {"rate": 3}, "the test")


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)
PLAIN = st.one_of(st.none(), st.booleans(), st.integers(-99, 99), st.floats(allow_nan=False), WORDS,
                  st.lists(WORDS, max_size=3),
                  st.sampled_from(["a\nb", "a\n", " a\n\n", "# x", "- x", "a: b"]))  # fmt: skip
FIELDS = ["method", "name", "tags", "adapter", "adapter.r", "data.train", "data.new", "training.weight_decay",
          "training.new.inner", "empty", "empty.inner", "system", "wants", "new"]  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(FIELDS), PLAIN), max_size=4))
def test_whatever_is_written_is_read_back_and_no_comment_is_lost(changes: list[tuple[str, object]]) -> None:
    text = TEXT
    for field, new in changes:
        text = edit_yaml(text, {field: new}, "the test")
        found = value(text)
        for name in field.split("."):
            found = found[name]
        assert found == new
    for comment in comments(TEXT):
        assert comment.rstrip() in text
