"""The generation worker as a real process over its pipes."""

import json
import os
import queue
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.generation.client import Decoding, GenerationClient, Lineup, compare_once
from rung.engine.jobs.program import worker_command, worker_environment
from tests.helpers.adapters_on_the_spot import make_adapter, make_full_tune
from tests.helpers.tiny import make_tiny_model

WAIT_SECONDS = 300.0
PROMPT = [{"role": "user", "content": "Where does the ladder stand?"}]


class Conversation:
    """A client and what its worker has said."""

    def __init__(self, log: Path) -> None:
        self.inbox: queue.Queue[dict[str, Any]] = queue.Queue()
        self.client = GenerationClient(None, log, self.inbox.put)
        self.said: list[dict[str, Any]] = []

    def wait_for(self, kind: str) -> dict[str, Any]:
        while True:
            message = self.inbox.get(timeout=WAIT_SECONDS)
            self.said.append(message)
            if message["type"] == kind:
                return message
            assert message["type"] != "error", message

    def answers(self, labels: list[str], decoding: Decoding) -> dict[str, dict[str, Any]]:
        self.client.generate(labels, PROMPT, decoding)
        return {done["candidate"]: done for done in (self.wait_for("done") for _ in labels)}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder with a tiny model, adapters and a full fine-tune of it."""
    root = tmp_path_factory.mktemp("tiny")
    make_tiny_model(root / "model")
    make_adapter(root / "model", root / "a", seed=1)
    make_adapter(root / "model", root / "b", seed=2)
    make_adapter(root / "model", root / "dora", seed=3, use_dora=True)
    make_adapter(root / "model", root / "same", scale=0.0)
    make_adapter(root / "model", root / "pissa", init_lora_weights="pissa")
    make_full_tune(root / "model", root / "full")
    return root


@pytest.fixture(scope="module")
def conversation(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Conversation]:
    """One worker for the tests that only load and generate: starting it costs seconds."""
    talk = Conversation(tmp_path_factory.mktemp("log") / "generate.log")
    yield talk
    talk.client.close()


def lineup(root: Path, *adapters: str) -> Lineup:
    return Lineup({"name": "model"}, root, {name: name for name in adapters})


def test_the_base_pane_is_the_plain_base_to_the_bit(tiny: Path, conversation: Conversation) -> None:
    conversation.client.load(lineup(tiny, "a", "b", "full"))
    ready = conversation.wait_for("ready")
    assert ready["base_matches_plain"] is True
    assert ready["max_logit_difference"] == 0.0
    assert ready["tolerance"] == 0.0
    assert ready["fingerprints"]["base"] == ready["plain_fingerprint"]
    assert len(set(ready["fingerprints"].values())) == 4


def test_candidates_answer_side_by_side_as_they_do_alone(tiny: Path, conversation: Conversation) -> None:
    labels = ["base", "a", "b", "full"]
    conversation.client.load(lineup(tiny, "a", "b", "full"))
    ready = conversation.wait_for("ready")
    together = conversation.answers(labels, Decoding(max_new_tokens=24))
    assert len({done["text"] for done in together.values()}) >= 3  # The base's own answer may be all newlines.
    for label in labels:
        alone = conversation.answers([label], Decoding(max_new_tokens=24))[label]
        assert alone["text"] == together[label]["text"]
        assert together[label]["tokens"] == 24
        assert together[label]["stop_reason"] == "length"
        assert together[label]["seconds"] > 0
        assert together[label]["fingerprint"] == ready["fingerprints"][label]


def test_the_pieces_are_the_text(tiny: Path, conversation: Conversation) -> None:
    conversation.client.load(lineup(tiny, "a"))
    conversation.wait_for("ready")
    conversation.said.clear()
    answers = conversation.answers(["base", "a"], Decoding(max_new_tokens=200))
    for label, done in answers.items():
        pieces = [said["text"] for said in conversation.said if said["type"] == "token" and said["candidate"] == label]
        assert "".join(pieces).strip() == done["text"]


def test_sampling_gives_equal_models_equal_text(tiny: Path, conversation: Conversation) -> None:
    conversation.client.load(lineup(tiny, "same", "a"))
    ready = conversation.wait_for("ready")
    warning = conversation.wait_for("warning")
    assert warning["message"].startswith("same gives the base's own logits")
    assert ready["fingerprints"]["same"] == ready["fingerprints"]["base"]
    hot = Decoding(max_new_tokens=40, temperature=1.0, top_p=0.9, seed=7)
    first = conversation.answers(["base", "same", "a"], hot)
    assert first["base"]["text"] == first["same"]["text"] != first["a"]["text"]
    assert conversation.answers(["base"], hot)["base"]["text"] == first["base"]["text"]
    other_seed = Decoding(max_new_tokens=40, temperature=1.0, top_p=0.9, seed=8)
    assert conversation.answers(["base"], other_seed)["base"]["text"] != first["base"]["text"]


def test_adapters_that_cannot_be_mixed_are_answered_in_turns(tiny: Path, conversation: Conversation) -> None:
    conversation.client.load(lineup(tiny, "a", "dora"))
    assert conversation.wait_for("ready")["base_matches_plain"] is True
    together = conversation.answers(["base", "a", "dora"], Decoding(max_new_tokens=20))
    for label in ("base", "a", "dora"):
        alone = conversation.answers([label], Decoding(max_new_tokens=20))[label]
        assert alone["text"] == together[label]["text"]


def test_a_base_that_an_adapter_has_changed_is_an_error(tiny: Path, conversation: Conversation) -> None:
    # PiSSA puts a part of the base's weights into the adapter, and takes it out of the base when attached.
    conversation.client.load(lineup(tiny, "pissa"))
    ready = conversation.wait_for("ready")
    assert ready["base_matches_plain"] is False
    assert ready["max_logit_difference"] > 0
    error = conversation.inbox.get(timeout=WAIT_SECONDS)
    assert error["type"] == "error"
    assert error["message"] == "The base pane is not the plain base"
    assert ready["plain_fingerprint"][:8] in error["details"]


def test_a_cancel_ends_every_candidate_within_a_token(tiny: Path, conversation: Conversation) -> None:
    conversation.client.load(lineup(tiny, "a", "full"))
    conversation.wait_for("ready")
    # No stop token is ever likely in so long an answer of noise; the context would allow 512 tokens.
    request = conversation.client.generate(["base", "a", "full"], PROMPT, Decoding(max_new_tokens=100_000))
    conversation.wait_for("token")
    conversation.client.cancel(request)
    reasons = [conversation.wait_for("done")["stop_reason"] for _ in range(3)]
    assert reasons == ["cancelled", "cancelled", "cancelled"]
    assert conversation.answers(["base"], Decoding(max_new_tokens=3))["base"]["tokens"] == 3


def test_a_prompt_past_the_context_is_cut_and_said(tiny: Path, conversation: Conversation) -> None:
    conversation.client.load(lineup(tiny))
    conversation.wait_for("ready")
    long = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "x" * 200},
        {"role": "assistant", "content": "y" * 200},
        {"role": "user", "content": "é" * 400 + "the end"},
    ]
    conversation.client.generate(["base"], long, Decoding(max_new_tokens=300))
    said = [conversation.wait_for("warning")["message"] for _ in range(3)]
    assert said[0] == "the oldest 2 turns were left out of the prompt"
    assert said[1].startswith("the first ") and said[1].endswith("tokens of the last message were cut from the prompt")
    assert said[2].startswith("the answer is limited to ")
    assert conversation.wait_for("done")["stop_reason"] in ("length", "end")


@pytest.mark.parametrize(
    ("request_line", "message"),
    [
        ({"type": "load", "id": 5, "model": {"name": "./nowhere"}, "root": "/"}, "There is no model folder"),
        ({"type": "load", "id": 5, "model": {"name": 3}, "root": "/"}, "The model's settings are not valid"),
        ({"type": "dance", "id": 5}, "The generation worker knows no request 'dance'"),
        ({"type": "unload", "id": 5}, None),
        ({"type": "generate", "id": 5, "messages": PROMPT}, "No model is loaded"),
    ],
)
def test_bad_requests_get_one_clear_answer(
    conversation: Conversation, request_line: dict[str, Any], message: str | None
) -> None:
    conversation.client.unload()
    conversation.wait_for("unloaded")
    conversation.client._send(request_line)
    answer = conversation.inbox.get(timeout=WAIT_SECONDS)
    assert answer["id"] == 5
    if message is None:
        assert answer["type"] == "unloaded"
    else:
        assert answer["type"] == "error"
        assert answer["message"].startswith(message)


def test_an_adapter_of_another_base_is_refused_and_the_base_stays_right(
    tiny: Path, conversation: Conversation, tmp_path: Path
) -> None:
    other = make_tiny_model(tmp_path / "wide", hidden_size=64)
    make_adapter(other, tmp_path / "foreign")
    conversation.client.load(Lineup({"name": "model"}, tiny, {"foreign": str(tmp_path / "foreign")}))
    error = conversation.inbox.get(timeout=WAIT_SECONDS)
    assert error["type"] == "error"
    assert "can't be attached to this base" in error["message"]
    conversation.client.load(lineup(tiny, "a"))
    ready = conversation.wait_for("ready")
    assert ready["base_matches_plain"] is True
    assert ready["fingerprints"]["a"] != ready["fingerprints"]["base"]


def test_a_reward_model_is_refused(tiny: Path, conversation: Conversation, tmp_path: Path) -> None:
    make_adapter(tiny / "model", tmp_path / "scorer")
    config = tmp_path / "scorer" / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"task_type": "SEQ_CLS"}))
    conversation.client.load(Lineup({"name": "model"}, tiny, {"scorer": str(tmp_path / "scorer")}))
    error = conversation.inbox.get(timeout=WAIT_SECONDS)
    assert error["type"] == "error"
    assert "is a reward model" in error["message"]


def test_what_is_idle_is_unloaded_and_loaded_again_on_demand(tiny: Path, conversation: Conversation) -> None:
    conversation.client.unload()
    conversation.wait_for("unloaded")
    conversation.client.load(lineup(tiny, "a"), idle_minutes=0)
    conversation.wait_for("ready")
    assert conversation.wait_for("unloaded")["reason"] == "idle"
    done = conversation.answers(["base", "a"], Decoding(max_new_tokens=4))
    assert set(done) == {"base", "a"}
    conversation.wait_for("unloaded")
    conversation.client.load(lineup(tiny, "a"), idle_minutes=None)
    conversation.wait_for("ready")


def test_the_worker_ends_when_its_stdin_does(tmp_path: Path) -> None:
    process = subprocess.Popen(
        worker_command("generate"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=worker_environment()
    )
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(WAIT_SECONDS) == 0


def test_a_killed_worker_is_reported_with_the_end_of_its_log_and_started_anew(tiny: Path, tmp_path: Path) -> None:
    talk = Conversation(tmp_path / "generate.log")
    talk.client.load(lineup(tiny))
    talk.wait_for("ready")
    process = talk.client._process
    assert process is not None
    (tmp_path / "generate.log").write_text("last words")
    os.kill(process.pid, signal.SIGKILL)
    died = talk.inbox.get(timeout=WAIT_SECONDS)
    assert died["worker_ended"] is True
    assert died["message"] == "The generation worker ended (killed by signal 9)"
    assert died["details"] == "last words"
    talk.client.load(lineup(tiny))
    talk.wait_for("ready")
    talk.client.close()
    assert not talk.client.alive


NOISY_CODE = """
import os
from transformers import LlamaForCausalLM

print("printed noise")
os.write(1, b"raw noise")

class NoisyForCausalLM(LlamaForCausalLM):
    pass
"""


def test_what_a_model_prints_goes_to_the_log_and_not_into_the_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    model = make_tiny_model(tmp_path / "model")
    (model / "noisy.py").write_text(NOISY_CODE)
    config = json.loads((model / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "noisy.NoisyForCausalLM"}
    (model / "config.json").write_text(json.dumps(config))
    log = tmp_path / "generate.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            worker_command("generate"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stream,
            env=worker_environment(),
        )
    load = {"type": "load", "id": 1, "model": {"name": "model", "trust_remote_code": True}, "root": str(tmp_path)}
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps(load).encode() + b"\nnot json\n")
    process.stdin.flush()
    assert [json.loads(process.stdout.readline())["type"] for _ in range(2)] == ["ready", "error"]
    rest, _ = process.communicate(timeout=WAIT_SECONDS)
    assert rest == b""
    assert b"printed noise" in log.read_bytes() and b"raw noise" in log.read_bytes()


def test_compare_once_gives_the_rows_that_the_command_prints(tiny: Path, tmp_path: Path) -> None:
    rows = compare_once(lineup(tiny, "a"), [PROMPT, PROMPT], Decoding(max_new_tokens=5), tmp_path / "log")
    assert [row["candidate"] for row in rows] == ["base", "a", "base", "a"]
    assert rows[0]["answer"] == rows[2]["answer"] != rows[1]["answer"]
    assert {"candidate", "prompt", "answer", "tokens", "seconds", "fingerprint"} <= set(rows[0])
    with pytest.raises(EngineError, match="There is no folder"):
        compare_once(lineup(tiny, "missing"), [PROMPT], Decoding(), tmp_path / "log")
