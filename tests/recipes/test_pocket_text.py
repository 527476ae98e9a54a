"""The pocket model's generators: the same text from the same seed, and what is withheld is truly withheld."""

import re
import subprocess
import sys
from collections.abc import Iterable
from itertools import islice
from random import Random

import pytest

from rung.recipes.pocket import chats, names, passages, patterns, words, world
from rung.recipes.pocket.schema import KINDS, question
from tests.helpers.program import ROOT


@pytest.fixture(scope="module")
def training_chats() -> list[chats.Chat]:
    """Some thousand chats of the training stream."""
    return list(islice(chats.stream(5), 4000))


def _texts(many: Iterable[chats.Chat]) -> list[str]:
    return [message["content"] for chat in many for message in chat]


def test_the_same_seed_gives_the_same_chats_and_another_seed_gives_others() -> None:
    first, again, other = (list(islice(chats.stream(seed), 200)) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_a_made_up_word_belongs_to_one_family_only() -> None:
    for split in ("train", "test", "demo"):
        rng = Random(1)
        assert {names.split_of(names.made_up(rng, split)) for _ in range(300)} == {split}


def test_training_text_holds_no_name_of_the_other_families(training_chats: list[chats.Chat]) -> None:
    met = {word for text in _texts(training_chats) for word in re.findall(r"[A-Za-z]{5,}", text)}
    rng = Random(2)
    unseen = {names.made_up(rng, split) for split in ("test", "demo") for _ in range(3000)}
    assert {word.lower() for word in met} & unseen <= set(words.JOBS)  # "fisher" is a name as well as a trade


def test_withheld_phrasings_never_occur_in_training(training_chats: list[chats.Chat]) -> None:
    asked = "\n".join(
        text for chat in training_chats for text in (m["content"] for m in chat if m["role"] != "assistant")
    )
    rng = Random(3)
    withheld = {fact.question(rng, held_out=True) for fact in world.facts() for _ in range(4)}
    assert len(withheld) > 1000
    assert not [phrasing for phrasing in withheld if phrasing in asked]


def test_no_withheld_part_is_in_a_family_of_training() -> None:
    rng = Random(4)
    families = [patterns.train_family(rng) for _ in range(20_000)]
    withheld = set(patterns.HELD_OUT_SELECTIONS.values())
    assert not [f for f in families if f.selection in withheld or {f.join, f.frame} & patterns.HELD_OUT_LITERALS]
    assert all(family.held_out for family in patterns.held_out_families())
    assert len(patterns.held_out_families()) == len(patterns.HELD_OUT) >= 8
    assert {patterns.withheld_part(family) for family in patterns.held_out_families()} == patterns.HELD_OUT


def test_examples_of_a_family_follow_its_rule() -> None:
    family = patterns.Family((2, (1, 0)), "-", "<{}>", " ")
    for source, target in patterns.examples(Random(5), family, 6):
        first, second = source.split(" ")
        assert target == f"<{second}-{first}>"


@pytest.mark.parametrize("count", [1, 3, 6])
def test_a_question_is_answered_by_its_document_and_by_no_other(count: int) -> None:
    rng = Random(count)
    for _ in range(100):
        shown = passages.documents(rng, count)
        item = passages.ask(rng, shown)
        assert item.answer in shown[item.document].text
        assert len({document.entity for document in shown}) == count


def test_an_unanswerable_question_has_no_answer_in_the_documents() -> None:
    rng = Random(8)
    for _ in range(100):
        shown = passages.documents(rng, 2)
        asked = passages.ask_unanswerable(rng, shown)
        stated = {question(Random(0), a, d.entity) for d in shown for a, _ in d.stated}
        assert asked not in stated


def test_the_world_is_always_the_same_and_has_one_value_for_each_fact() -> None:
    facts = world.facts()
    assert 300 <= len(facts) <= 600
    assert len({(f.entity, f.attribute.key) for f in facts}) == len(facts)
    assert {f.kind.name for f in facts} == {kind.name for kind in KINDS}


def test_a_multiple_choice_question_has_one_right_option() -> None:
    rng = Random(9)
    for fact in world.facts()[:60]:
        asked, letter = chats.choice_question(rng, fact)
        lines = asked.splitlines()[1:]
        assert len(lines) == 4
        assert lines["ABCD".index(letter)].endswith(fact.value)
        assert sum(line.endswith(f" {fact.value}") for line in lines) == 1


def test_the_generators_need_no_torch() -> None:
    modules = (
        "rung.recipes.pocket.chats, rung.recipes.demos.facts, rung.recipes.demos.format, rung.recipes.demos.preference"
    )
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
