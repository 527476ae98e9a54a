"""The judge: both orders, ties, liking for a place, agreement with a person's labels."""

import json
import random
from pathlib import Path

import pytest
from sklearn.metrics import cohen_kappa_score

from rung.engine.core.errors import EngineError
from rung.engine.generation.endpoint import ChatEndpoint
from rung.engine.metrics.judge import (
    JudgeCase,
    Judgment,
    Message,
    judge_pairs,
    judge_prompt,
    read_verdict,
    summarise_judgments,
)
from rung.engine.metrics.judge_check import (
    JudgeCheck,
    LabelledCase,
    check_judge,
    cohens_kappa,
    compare_with_labels,
    read_labels,
)
from rung.engine.project.schema import EndpointModel
from rung.engine.stats.intervals import estimate, wilson
from tests.helpers.chat_service import Response, Sent, answer, chat_service


def shown_answers(conversation: list[Message]) -> tuple[str, str]:
    text = conversation[-1]["content"]
    first, second = (
        text.split(f"=== answer {place} ===\n")[1].split(f"\n=== end of answer {place} ===")[0] for place in (1, 2)
    )
    return first, second


def prefers_longer(conversations: list[list[Message]]) -> list[str]:
    """A judge with a true opinion: the longer answer, a tie where they are as long."""
    replies = []
    for first, second in map(shown_answers, conversations):
        verdict = "tie" if len(first) == len(second) else "1" if len(first) > len(second) else "2"
        replies.append(f"Their lengths are {len(first)} and {len(second)}.\nVerdict: {verdict}")
    return replies


def prefers_first(conversations: list[list[Message]]) -> list[str]:
    return ["**Verdict:** 1"] * len(conversations)


def cases(pairs: list[tuple[str, str]]) -> list[JudgeCase]:
    return [JudgeCase(str(number), "Why?", a, b) for number, (a, b) in enumerate(pairs)]


def test_both_orders_are_asked_and_agree() -> None:
    judgments = judge_pairs(prefers_longer, cases([("long answer", "short"), ("x", "yyy"), ("ab", "cd")]))
    assert [judgment.choice for judgment in judgments] == ["a", "b", "tie"]
    assert [judgment.score for judgment in judgments] == [1.0, 0.0, 0.5]
    summary = summarise_judgments(judgments)
    assert (summary.a_wins, summary.b_wins, summary.ties, summary.unreadable) == (1, 1, 1, 0)
    assert summary.win_rate == estimate([1.0, 0.0, 0.5]) and summary.p == 1.0
    assert summary.agreement.score == 1.0 and summary.first_place == 0.5


def test_a_judge_that_likes_the_first_place_gives_ties_and_is_found_out() -> None:
    summary = summarise_judgments(judge_pairs(prefers_first, cases([("good", "bad")] * 12)))
    assert (summary.a_wins, summary.b_wins, summary.ties) == (0, 0, 12)
    assert summary.agreement.score == 0.0 and summary.first_place == 1.0


def test_a_clear_preference_is_significant() -> None:
    summary = summarise_judgments(judge_pairs(prefers_longer, cases([("much longer", "short")] * 11 + [("a", "bb")])))
    assert summary.p == pytest.approx(2 * 13 / 2**12)
    assert (summary.win_rate.low, summary.win_rate.high) == pytest.approx(wilson(11, 12))


def test_replies_without_a_verdict_are_counted_not_guessed() -> None:
    def sometimes(conversations: list[list[Message]]) -> list[str]:
        replies = prefers_longer(conversations)
        replies[1] = "I can't decide that."
        return replies

    judgments = judge_pairs(sometimes, cases([("long answer", "short"), ("long answer", "short")]))
    assert [judgment.choice for judgment in judgments] == [None, "a"]
    assert judgments[0].score is None
    assert summarise_judgments(judgments).unreadable == 1
    with pytest.raises(EngineError, match="no verdict on any of 1 pairs"):
        summarise_judgments(judgments[:1])
    with pytest.raises(EngineError, match="1 replies to 2 questions"):
        judge_pairs(lambda conversations: ["Verdict: 1"], cases([("a", "b")]))
    assert judge_pairs(prefers_first, []) == []


@pytest.mark.parametrize(
    ("reply", "choice"),
    [
        ("Verdict: 1", "a"),
        ("The first is wrong.\n\n**Verdict:** 2.", "b"),
        ("verdict - Tie", "tie"),
        ("Verdict: Answer 2", "b"),
        ("Verdict: 1? No, it is worse.\nVerdict: 2", "b"),
        ("<think>Verdict: 1</think>Verdict: 2", "b"),
        (" 2. ", "b"),
        ("Answer 1", "a"),
        ("tie", "tie"),
        ("Answer 1 is better than answer 2", None),
        ("Verdict: 12", None),
        ("<think>Verdict: 1", None),
        ("", None),
    ],
)
def test_reading_a_verdict(reply: str, choice: str | None) -> None:
    assert read_verdict(reply, "a", "b") == choice


def test_the_prompt_has_the_criterion_the_reference_and_no_reasoning() -> None:
    case = JudgeCase("1", "Why {so}?", "<think>hidden</think>A", "B", reference="R")
    system, user = judge_prompt(case, a_is_first=False, criterion="is {short}.")
    assert "Judge by this alone: is {short}.\n" in system["content"]
    assert shown_answers([system, user]) == ("B", "A")
    assert "Why {so}?" in user["content"] and "=== reference answer ===\nR\n" in user["content"]
    assert "hidden" not in user["content"]


def test_a_judge_behind_an_endpoint() -> None:
    def respond(sent: Sent) -> Response:
        return answer(prefers_longer([sent.body["messages"]])[0])

    settings = {"name": "judge", "model": "big", "concurrency": 2}
    with chat_service(respond) as service, ChatEndpoint(EndpointModel(url=service.url, **settings)) as endpoint:
        judgments = judge_pairs(endpoint.generate, cases([("x", "yyy"), ("long answer", "short")]))
    assert [judgment.choice for judgment in judgments] == ["b", "a"]
    assert len(service.requests) == 4


def labelled(n: int, right: int) -> list[LabelledCase]:
    """Pairs whose label is the longer answer in `right` of n, and the shorter one in the others."""
    pairs = [(("longer one", "short"), "a"), (("short", "longer one"), "b")]
    found = []
    for number in range(n):
        (a, b), longer = pairs[number % 2]
        label = longer if number < right else {"a": "b", "b": "a"}[longer]
        found.append(LabelledCase(JudgeCase(str(number), "Why?", a, b), label))
    return found


def test_agreement_with_labels() -> None:
    check = check_judge(prefers_longer, labelled(40, 36))
    assert check.n == 40 and check.checked
    assert check.agreement is not None
    assert (check.agreement.low, check.agreement.high) == pytest.approx(wilson(36, 40))
    assert check.kappa == pytest.approx(0.8)
    assert check.words == "agrees with 90% of your 40 labels [77%, 96%], kappa 0.80"


def test_with_fewer_than_thirty_labels_a_judge_is_unchecked() -> None:
    assert check_judge(prefers_longer, labelled(30, 30)).checked
    few = check_judge(prefers_longer, labelled(29, 29))
    assert not few.checked and few.words == "unchecked: 29 labels of your own, 30 are needed"
    none = JudgeCheck(0, None, None)
    assert compare_with_labels(judge_pairs(prefers_longer, cases([("a", "b")])), {}) == none
    assert not none.checked and none.words.startswith("unchecked: 0 labels")


def test_unread_verdicts_do_not_count_as_labels() -> None:
    judgments = [
        Judgment("1", "a", None, ("", "")),
        Judgment("2", "a", "a", ("", "")),
        Judgment("3", "b", "b", ("", "")),
    ]
    check = compare_with_labels(judgments, {"1": "a", "2": "a", "4": "b"})
    assert check.n == 1 and check.kappa is None


def test_kappa_is_scikit_learns() -> None:
    generator = random.Random(0)
    a = generator.choices(["a", "b", "tie"], k=60)
    b = [one if generator.random() < 0.6 else generator.choice(["a", "b", "tie"]) for one in a]
    assert cohens_kappa(a, b) == pytest.approx(cohen_kappa_score(a, b))
    assert cohens_kappa(["a"] * 5, ["a"] * 5) is None


def test_labels_from_files(tmp_path: Path) -> None:
    own = tmp_path / "labels.jsonl"
    rows = [
        {"question": "Q", "a": "x", "b": "y", "preferred": "Tie"},
        {"question": "Q", "a": "x", "b": "y", "preferred": "b"},
    ]
    own.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [one.preferred for one in read_labels(own)] == ["tie", "b"]
    compared = tmp_path / "preferences.jsonl"
    turn = [{"role": "user", "content": "Q"}]
    pair = {"prompt": turn, "chosen": [{"role": "assistant", "content": "good"}], "rejected": "bad"}
    compared.write_text((json.dumps(pair) + "\n") * 4)
    found = read_labels(compared)
    assert [(one.case.a, one.preferred) for one in found] == [("good", "a"), ("bad", "b")] * 2
    assert found[0].case.question == "Q" and len({one.case.id for one in found}) == 4
    own.write_text(json.dumps({"question": "Q", "a": "x", "b": "y", "preferred": "neither"}) + "\n")
    with pytest.raises(EngineError, match="no file of labels") as caught:
        read_labels(own)
    assert "line 1" in caught.value.details
