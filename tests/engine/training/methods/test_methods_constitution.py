"""AI feedback: what becomes of each prompt, a break at any place, the stop for a person to read, then DPO."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json, read_json_lines
from rung.engine.data.prompts import Prompted
from rung.engine.jobs.events import Event, PairsMade
from rung.engine.jobs.folder import RunFolder, new_run_folder
from rung.engine.jobs.reader import RunReader
from rung.engine.jobs.reporter import Reporter
from rung.engine.training.methods.constitution_settings import OWN_FIELDS, ConstitutionSettings, drawn_principles
from rung.engine.training.methods.feedback import (
    SAME,
    Reply,
    judge_case,
    judge_figures,
    revise,
    share_revised,
    verdict_words,
)
from rung.engine.training.methods.kept_replies import KeptReplies
from tests.helpers.chat_service import Response, Sent, answer, chat_service
from tests.helpers.method_runs import curve, make_recipe, sit, values, warnings_of, write_rows
from tests.helpers.tiny import make_tiny_model

Turns = list[dict[str, Any]]
PRINCIPLES = "# remarks are left out\n\n- Be short.\n2. Be polite.\nBe true.\n"


def number_rows(count: int = 24) -> list[dict[str, Any]]:
    return [{"prompt": f"How many in box {n}?"} for n in range(count)]


@pytest.fixture(scope="module")
def talker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that answers with a digit and stops, so that its answers are whole; which digit is chance."""
    root = tmp_path_factory.mktemp("talker")
    write_rows(root, [{"prompt": row["prompt"], "completion": str(n % 4)} for n, row in enumerate(number_rows())])
    folder = new_run_folder(root, "sft")
    training = {"num_train_epochs": 10, "eval_steps": 100}
    sit(make_recipe("sft", make_tiny_model(root / "base"), adapter=None, training=training), folder)
    return folder.path / "model"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def project(root: Path, rows: Sequence[dict[str, Any]] = ()) -> Path:
    write_rows(root, rows or number_rows())
    (root / "principles.txt").write_text(PRINCIPLES)
    return root


def recipe_for(model: Path, data: dict[str, Any] | None = None, epochs: int = 1, **block: Any) -> Any:
    settings = {
        "principles": "principles.txt",
        "temperature": 1.0,
        "max_new_tokens": 6,
        "batch_size": 8,
        "critique_request": "By {principle}?",
        "revision_request": "Again, by {principle}",
        "judge": None,
        **block,
    }
    training = {"eval_steps": 3, "num_train_epochs": epochs}
    return make_recipe("constitution", model, constitution=settings, data=data or {}, training=training)


def pairs_of(folder: RunFolder) -> list[dict[str, Any]]:
    return read_json_lines(folder.path / "pairs.jsonl")


def events_of(folder: RunFolder, kind: str) -> list[dict[str, Any]]:
    return [event for event in read_json_lines(folder.events) if event["type"] == kind]


# The way of one prompt


def settings_with(**changes: Any) -> ConstitutionSettings:
    return ConstitutionSettings.model_validate({"principles": "principles.txt", **changes})


def scripted(script: dict[str, list[Reply]]) -> Callable[[Sequence[Turns]], list[Reply]]:
    """Replies by the prompt's own words and by how many answers it has had."""

    def ask(conversations: Sequence[Turns]) -> list[Reply]:
        return [
            script[turns[0]["content"]][sum(turn["role"] == "assistant" for turn in turns)] for turns in conversations
        ]

    return ask


def said(*texts: str) -> list[Reply]:
    return [Reply(text, "end") for text in texts]


def test_each_prompt_makes_a_pair_or_says_why_not() -> None:
    script = {
        "good": said("long-winded", "too long", "short"),
        "kept as it is": said("fine  already", "nothing to say", " fine already\n"),
        "nothing": said("", "", ""),
        "no revision": said("something", "bad", ""),
        "cut off": [*said("first", "long"), Reply("and so on and", "length")],
        "cut critique": [*said("first"), Reply("it is not", "length"), *said("second")],
        "no room": [*said("first"), Reply("", "no_room"), *said("second")],
        "refused": [*said("first"), Reply("", "refused"), *said("second")],
        "thinks": said("<think>hm</think>first", "<think>so</think>too long", "<think>it asks to revise</think>second"),
    }
    prompts = [Prompted([{"role": "user", "content": name}], None, "rows", n) for n, name in enumerate(script)]
    revisions = revise(prompts, ["Be short."], settings_with(), 0, scripted(script))
    assert {revision.prompt.prompt[0]["content"]: revision.dropped for revision in revisions} == {
        "good": None,
        "kept as it is": SAME,
        "nothing": "the first answer is empty",
        "no revision": "the revision is empty",
        "cut off": "the revision is cut off at 256 tokens",
        "cut critique": None,
        "no room": "the model's context has no room for the critique",
        "refused": "the service refuses the critique",
        "thinks": None,
    }
    assert share_revised(revisions) == {"share_revised": 3 / 4}
    rows = {revision.prompt.prompt[0]["content"]: revision.row() for revision in revisions}
    assert (rows["good"]["chosen"], rows["good"]["rejected"]) == ("short", "long-winded")
    assert (rows["thinks"]["chosen"], rows["thinks"]["rejected"]) == ("second", "first")
    asked = revisions[0].turns
    assert [turn["role"] for turn in asked] == ["user", "assistant"] * 3
    assert "Be short." in asked[2]["content"] and "Be short." in asked[4]["content"]


def test_each_round_takes_another_principle_and_goes_on_from_the_last_revision() -> None:
    script = {"x": said("one", "c1", "two", "c2", "three")}
    prompt = Prompted([{"role": "user", "content": "x"}], None, "rows", 3)
    (revision,) = revise([prompt], ["A.", "B.", "C."], settings_with(rounds=2), 5, scripted(script))
    assert len(set(revision.principles)) == 2
    assert revision.principles == drawn_principles(["A.", "B.", "C."], 2, 5, prompt.prompt, 3)
    assert [revision.principles[n] in revision.turns[at]["content"] for n, at in ((0, 2), (1, 6))] == [True, True]
    assert (revision.first, revision.revised, revision.critiques) == ("one", "three", ["c1", "c2"])


def test_the_judge_sees_the_principle_and_both_orders() -> None:
    from rung.engine.metrics.judge import judge_pairs

    script = {name: said("much longer than that", "c", "short") for name in ("a", "b")}
    prompts = [Prompted([{"role": "user", "content": name}], None, "rows", n) for n, name in enumerate(script)]
    revisions = revise(prompts, ["Be short."], settings_with(), 0, scripted(script))
    shown: list[str] = []

    def likes_short(conversations: list[list[dict[str, str]]]) -> list[str]:
        shown.extend(turns[0]["content"] for turns in conversations)
        return [
            f"Verdict: {1 if turns[1]['content'].index('short') < turns[1]['content'].index('much') else 2}"
            for turns in conversations
        ]

    judged = judge_pairs(likes_short, [judge_case(n, one) for n, one in enumerate(revisions)])
    assert all("Be short." in text for text in shown) and len(shown) == 4
    assert judge_figures(judged) == {"judge_unreadable": 0.0, "judge_agreement": 1.0, "judge_steadiness": 1.0}
    assert verdict_words(judged[0]) == "revised in both orders"
    likes_first = judge_pairs(lambda turns: ["Verdict: 1"] * len(turns), [judge_case(0, revisions[0])])
    assert judge_figures(likes_first) == {"judge_unreadable": 0.0, "judge_agreement": 0.0, "judge_steadiness": 0.0}
    mute = judge_pairs(lambda turns: ["I can't say"] * len(turns), [judge_case(0, revisions[0])])
    assert judge_figures(mute) == {"judge_unreadable": 1.0}


class Counting:
    """A speaker that repeats what it is told, and breaks off after so many replies."""

    def __init__(self, breaks_after: int | None = None) -> None:
        self.who = {"model": "counting"}
        self.heard: list[str] = []
        self._left = breaks_after

    def speak(self, conversations: Sequence[Turns]) -> Any:
        for number, turns in enumerate(conversations):
            if self._left is not None and len(self.heard) == self._left:
                raise EngineError("The machine is gone", "", "start it again")
            self.heard.append(turns[-1]["content"])
            yield number, Reply(turns[-1]["content"].upper(), "end")

    def close(self) -> None:
        pass


def test_what_was_said_is_not_asked_again(tmp_path: Path) -> None:
    conversations = [[{"role": "user", "content": letter}] for letter in "abcab"]
    file, broken = tmp_path / "replies.jsonl", Counting(breaks_after=2)
    with pytest.raises(EngineError) as caught:
        KeptReplies(file, broken).ask(conversations)
    assert "2 replies are kept" in caught.value.details
    assert caught.value.hint == "start it again; rung resume goes on where it stopped"
    with file.open("a") as stream:
        stream.write('{"key": "torn')
    whole = Counting()
    replies = KeptReplies(file, whole).ask(conversations)
    assert [reply.text for reply in replies] == list("ABCAB")
    assert whole.heard == ["c"]
    other = Counting()
    other.who = {"model": "another"}
    KeptReplies(file, other).ask(conversations)
    assert other.heard == list("abc"), "another model's replies are not this one's"


# Whole runs


@pytest.mark.slow
def test_the_run_stops_with_its_pairs_to_be_read_and_trains_on_what_is_left(talker: Path, tmp_path: Path) -> None:
    recipe = recipe_for(talker, epochs=6)
    folder = new_run_folder(project(tmp_path), "constitution")
    sit(recipe, folder)
    state = RunReader(folder).catch_up()
    assert (state.status, state.step, state.result["resumable"]) == ("stopped", 0, True)
    assert str(folder.path / "pairs.jsonl") in state.result["reason"]
    assert f"rung resume {folder.id}" in state.result["reason"]
    pairs = pairs_of(folder)
    assert len(pairs) > 8
    assert all(pair["chosen"] != pair["rejected"] and pair["chosen"].strip() for pair in pairs)
    assert {principle for pair in pairs for principle in pair["principles"]} == {"Be short.", "Be polite.", "Be true."}
    dropped = read_json_lines(folder.path / "feedback" / "dropped.jsonl")
    assert len(pairs) + len(dropped) == 24
    assert {pair["line"] for pair in pairs} | {row["line"] for row in dropped} == set(range(1, 25))
    assert any(f"{len(dropped)} of 24 prompts make no pair" in text for text in warnings_of(folder))
    shares = curve(folder, "pairs/share_revised")
    assert [done for done, _ in shares] == [8.0, 16.0, 24.0]
    same = sum(row["reason"] == SAME for row in dropped)
    assert shares[-1][1] == pytest.approx(len(pairs) / (len(pairs) + same))
    assert state.pairs[-1]["revised"] in {pair["chosen"] for pair in pairs}

    # The reader throws one pair out and rewrites the others, so that they agree: which digit was revised into which is
    # chance, and of pairs that contradict each other nothing can be learned.
    kept = [pair | {"chosen": "short", "rejected": "long"} for pair in pairs[1:]]
    (folder.path / "pairs.jsonl").write_text("".join(f"{json.dumps(pair)}\n" for pair in kept))
    sit(recipe, folder)
    state = RunReader(folder).catch_up()
    assert state.status == "finished"
    report = (folder.path / "report.md").read_text()
    assert f"pairs: {len(pairs)} of 24 prompts" in report and "share_revised" in report
    held = round((len(pairs) - 1) * 0.1) or 1
    assert f"{len(pairs) - 1 - held} used for training of {len(pairs) - 1} read" in report
    assert values(folder, "rewards/margins")[0] == 0.0, "the reference is the model that answered"
    assert values(folder, "rewards/margins")[-1] > 0.3
    assert curve(folder, "pairs/share_revised") == shares, "nothing is asked again"


class Killed(BaseException):
    """Like a kill, nothing in the product catches it."""


def sit_until(recipe: Any, folder: RunFolder, ends: Callable[[Event], bool], kill: bool) -> None:
    """One sitting that is killed, or asked to stop, at the first event of that kind."""
    from rung.engine.core.files import write_text_atomic
    from rung.engine.recipe.load import dump_recipe
    from rung.engine.training.train import train

    class Ending(Reporter):
        def write(self, event: Event) -> None:
            super().write(event)
            if ends(event):
                if kill:
                    raise Killed
                (folder.requests / "stop").write_text('{"who": "the test"}')

    write_text_atomic(folder.recipe, dump_recipe(recipe))
    reporter = Ending(folder.events)
    try:
        train(recipe, folder, folder.path.parents[1], reporter)
    finally:
        reporter.close()


def test_a_run_that_is_killed_or_stopped_while_it_makes_pairs_goes_on(talker: Path, tmp_path: Path) -> None:
    recipe = recipe_for(talker, review=False, judge={"max_new_tokens": 6})
    whole = new_run_folder(project(tmp_path / "whole"), "constitution")
    sit(recipe, whole)
    assert RunReader(whole).catch_up().status == "finished"
    broken = new_run_folder(project(tmp_path / "broken"), "constitution")
    with pytest.raises(Killed):
        sit_until(recipe, broken, lambda event: isinstance(event, PairsMade), kill=True)
    replies = broken.path / "feedback" / "replies.jsonl"
    made = replies.read_bytes()
    replies.write_bytes(made[:-20])
    assert not (broken.path / "pairs.jsonl").exists()
    sit_until(recipe, broken, lambda event: isinstance(event, PairsMade), kill=False)
    stopped = RunReader(broken).catch_up()
    assert (stopped.status, stopped.result["resumable"], stopped.result["reason"]) == ("stopped", True, "")
    sit(recipe, broken)
    assert RunReader(broken).catch_up().status == "finished"
    assert replies.read_bytes().startswith(made[:-20])
    assert (broken.path / "pairs.jsonl").read_bytes() == (whole.path / "pairs.jsonl").read_bytes()
    for name in ("loss", "rewards/margins", "pairs/share_revised", "pairs/judge_unreadable"):
        assert dict(curve(broken, name)) == dict(curve(whole, name)), name
    keys = [line["key"] for line in read_json_lines(replies)]
    assert len(keys) == len(set(keys))
    assert any("no verdict on any pair" in text for text in warnings_of(whole)), "digits are no verdicts"


def likes_bigger(sent: Sent) -> Response:
    text = sent.body["messages"][-1]["content"]
    first, second = (text.split(f"=== answer {place} ===\n")[1].split("\n===")[0] for place in (1, 2))
    return answer(f"Verdict: {'tie' if first == second else 1 if first > second else 2}")


def test_only_what_the_judge_prefers_is_kept_where_the_recipe_says_so(talker: Path, tmp_path: Path) -> None:
    folder = new_run_folder(project(tmp_path), "constitution")
    labels = [{"question": f"{n}?", "a": str(n % 3), "b": str(n % 3 + 1), "preferred": "ab"[n % 2]} for n in range(30)]
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in labels))
    with chat_service(likes_bigger) as service:
        endpoint = {"name": "big", "url": service.url, "model": "big", "concurrency": 1}
        sit(recipe_for(talker, keep="judged", judge={"endpoint": endpoint, "labels": "labels.jsonl"}), folder)
    pairs = pairs_of(folder)
    assert pairs and all(pair["chosen"] > pair["rejected"] for pair in pairs)
    assert all(pair["judge"] == {"revised_first": "a", "revised_second": "a"} for pair in pairs)
    dropped = read_json_lines(folder.path / "feedback" / "dropped.jsonl")
    worse = [row for row in dropped if "doesn't prefer" in row["reason"]]
    assert worse and all(row["chosen"] < row["rejected"] for row in worse)
    summary = read_json(folder.path / "feedback" / "summary.json")
    agreement = summary["metrics"]["judge_agreement"]
    assert agreement == pytest.approx(len(pairs) / (len(pairs) + len(worse)))
    assert values(folder, "pairs/judge_agreement")[-1] == agreement
    assert "agrees with 50% of your 30 labels" in summary["checked"]
    judged = [event["example"]["judge"] for event in events_of(folder, "pairs") if event["stage"] == "judged"]
    assert set(judged) <= {"revised in both orders", "first in both orders"} and judged


def test_validation_prompts_become_pairs_of_their_own(talker: Path, tmp_path: Path) -> None:
    root = project(tmp_path)
    write_rows(root, number_rows(12), "validation")
    folder = new_run_folder(root, "constitution")
    sit(recipe_for(talker, {"validation": "data/validation.jsonl"}, review=False), folder)
    held = read_json_lines(folder.path / "validation_pairs.jsonl")
    assert {pair["source"] for pair in held} == {"validation.jsonl"}
    assert events_of(folder, "evaluation")[0]["metrics"]["n"] == len(held)


def test_the_pairs_are_data_for_dpo_and_for_a_reward_model(talker: Path, tmp_path: Path) -> None:
    folder = new_run_folder(project(tmp_path), "constitution")
    sit(recipe_for(talker), folder)
    for method in ("dpo", "reward"):
        run = new_run_folder(tmp_path, method)
        data = {"train": str((folder.path / "pairs.jsonl").relative_to(tmp_path))}
        sit(make_recipe(method, talker, data=data, training={"max_steps": 1, "eval_steps": 1}), run)
        assert RunReader(run).catch_up().status == "finished"


@pytest.mark.parametrize("adapter", [{"r": 8}, None], ids=["adapter", "full"])
def test_it_goes_on_from_a_run_and_answers_as_that_run_does(
    talker: Path, tmp_path: Path, adapter: dict[str, Any] | None
) -> None:
    import torch

    from rung.engine.models.load import load_model
    from rung.engine.training.model import load_policy, load_start

    root = project(tmp_path)
    write_rows(root, [{"prompt": row["prompt"], "completion": "7"} for row in number_rows()], "sevens")
    first = new_run_folder(root, "sft")
    rate = {"max_steps": 4, "eval_steps": 4, "learning_rate": 1e-2 if adapter else 1e-3}
    sit(make_recipe("sft", talker, adapter=adapter, data={"train": "data/sevens.jsonl"}, training=rate), first)
    recipe = recipe_for(talker).model_copy(update={"start_from": f"run:{first.id}"})
    folder = new_run_folder(root, "constitution")
    sit(recipe, folder)
    assert RunReader(folder).catch_up().status == "stopped"
    reporter = Reporter(tmp_path / "events.jsonl")
    policy, _ = load_policy(recipe, root, "cpu", reporter)
    reporter.close()
    ids = torch.tensor([list(range(4, 40))])
    with torch.no_grad():
        answering, trained, base = (
            model.eval()(ids).logits
            for model in (load_start(recipe, root, "cpu"), policy, load_model(recipe.model, root, "cpu"))
        )
    assert answering.equal(trained), "what answers is what is trained"
    assert not answering.allclose(base, atol=1e-3), "what answers is the run, not the base"
    sit(recipe, folder)
    assert values(folder, "rewards/margins")[0] == 0.0, "the reference is the run that answered, not the base"


def test_a_model_that_never_ends_makes_no_pair(tmp_path: Path) -> None:
    folder = new_run_folder(project(tmp_path), "constitution")
    with pytest.raises(EngineError, match="No prompt of the training rows makes a pair") as caught:
        sit(recipe_for(make_tiny_model(tmp_path / "model"), temperature=0.0), folder)
    assert "24: the first answer is cut off at 6 tokens" in caught.value.details
    assert not (folder.path / "pairs.jsonl").exists()


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"principles": None}, "constitution.principles"),
        ({"principles": "gone.txt"}, "gone.txt"),
        ({"principles": "empty.txt"}, "holds 0 principles"),
        ({"rounds": 4}, "holds 3 principles"),
        ({"keep": "judged"}, "keep: judged needs a judge"),
        ({"critique_request": "Well?"}, "critique_request lacks {principle}"),
        ({"judge": {"model": {"name": "./gone"}}}, "gone"),
        ({"judge": {"model": {"name": "pocket"}, "endpoint": {"name": "a", "url": "u", "model": "m"}}}, "one judge"),
        ({"judge": {"labels": "gone.jsonl"}}, "gone.jsonl"),
        ({"loss_type": ["sigmoyd"]}, "no DPO loss sigmoyd"),
    ],
)
def test_a_faulty_block_is_refused_before_anything_is_asked(
    talker: Path, tmp_path: Path, block: dict[str, Any], words: str
) -> None:
    folder = new_run_folder(project(tmp_path), "constitution")
    (tmp_path / "empty.txt").write_text("# nothing yet\n")
    with pytest.raises(EngineError) as caught:
        sit(recipe_for(talker, **block), folder)
    assert words in str(caught.value)
    assert not (folder.path / "feedback").exists()


def test_the_check_says_what_a_launch_will_do(talker: Path, tmp_path: Path) -> None:
    from rung.engine.check.check_worker import _check_recipe

    root = project(tmp_path)
    asked = {"recipe": recipe_for(talker, judge={}).model_dump(), "root": str(root)}
    answer = _check_recipe(asked)
    assert answer["problems"] == []
    assert len(answer["plan"]) == 3
    assert "24 prompts" in answer["plan"][0] and "3 principles: 72 answers of at most 6 tokens" in answer["plan"][0]
    assert "the model itself" in answer["plan"][1] and "48 verdicts" in answer["plan"][1]
    assert "to read and weed; rung resume" in answer["plan"][2]
    asked["recipe"] = recipe_for(talker, review=False).model_dump()
    assert "at once, DPO" in _check_recipe(asked)["plan"][1]


def test_the_recipe_knows_every_setting_as_its_own() -> None:
    from rung.engine.recipe.trl_arguments import own_fields
    from rung.engine.training.methods.distill_settings import OWN_FIELDS as DISTILL_FIELDS

    assert own_fields("constitution") == OWN_FIELDS
    assert own_fields("distill") == DISTILL_FIELDS
