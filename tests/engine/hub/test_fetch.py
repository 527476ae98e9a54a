"""Models from a hub: brought, gone on with, refused with a reason; against a small hub on loopback."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.hub.cache import (
    PARTIAL,
    bytes_begun,
    cache_folder,
    cached_model,
    checked_name,
    name_of_snapshot,
    repository_folder,
)
from rung.engine.hub.choice import wanted_files
from rung.engine.hub.download import fetch_model, refuse_without_room
from rung.engine.hub.fetch import download_of, fetch_folder, fetch_result, start_fetch
from rung.engine.jobs.fold import RunState, apply
from rung.engine.jobs.lock import try_lock
from rung.engine.jobs.reader import RunReader
from rung.engine.jobs.requests import request
from rung.tui.commands.following import follow
from rung.tui.text.phases import amount, download_line
from tests.conftest import Ran
from tests.helpers.program import PROGRAM
from tests.helpers.small_hub import (
    GOOD_TOKEN,
    OTHER_TOKEN,
    Repository,
    SmallHub,
    ended,
    held_at,
    sha256,
    small_hub,
    use_hub,
)
from tests.helpers.terminal import Terminal

Cli = Callable[..., Ran]
WEIGHTS = bytes(range(256)) * 4000
FILES = {
    "config.json": b'{"model_type": "none"}',
    "tokenizer.json": b"{}",
    "README.md": b"---\nlicense: mit\n---\n",
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"pickle",
    "onnx/model.onnx": b"another format",
    "original/consolidated.00.pth": b"pickle",
    "modeling_own.py": b"code",
}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHub]:
    with small_hub() as serving:
        serving.repositories["org/small"] = Repository(FILES)
        use_hub(serving, tmp_path, monkeypatch)
        yield serving


def test_only_what_is_wanted_comes_over_a_line_that_breaks_twice(hub: SmallHub, cli: Cli) -> None:
    hub.cuts = [300_000, 100_000]
    done = cli("fetch", "org/small", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    wanted = ["README.md", "config.json", "model.safetensors", "tokenizer.json"]
    size = sum(len(FILES[name]) for name in wanted)
    assert told == {
        "model": "org/small", "revision": None, "commit": "1" * 40, "path": str(cached_model("org/small")),
        "files": 4, "bytes": size, "received": size, "state": "finished",
    }  # fmt: skip
    path = Path(told["path"])
    assert sorted(file.name for file in path.iterdir()) == wanted
    assert (path / "model.safetensors").read_bytes() == WEIGHTS
    assert [headers.get("range") for headers in hub.downloads()] == [None, "bytes=300000-", "bytes=400000-"]
    assert bytes_begun("org/small") == 0
    before = len(hub.downloads())
    again = cli("fetch", "org/small")
    assert again.code == 0 and "all of it was here" in again.out and len(hub.downloads()) == before


def test_a_download_that_was_stopped_goes_on_where_it_was(hub: SmallHub, cli: Cli) -> None:
    hub.hold_after = 200_000
    folder = start_fetch("org/small")
    held_at(folder, 200_000)
    assert start_fetch("org/small") == folder, "the one that goes on is given, and no second is begun"
    assert download_of("org/small", None).going
    request(folder, "stop")
    state = ended(folder)
    assert (state.status, state.result["resumable"]) == ("stopped", True)
    assert fetch_result(folder) is None and cached_model("org/small") is None
    here = bytes_begun("org/small")
    assert 200_000 <= here < len(WEIGHTS)
    hub.hold_after = None
    assert cli("fetch", "org/small").code == 0
    assert hub.downloads()[-1]["range"] == f"bytes={here}-"
    whole = download_of("org/small", None)
    assert (whole.whole, whole.going, whole.begun) == (True, False, 0)


def test_ctrl_c_ends_it_with_130_and_keeps_what_has_come(hub: SmallHub, tmp_path: Path) -> None:
    hub.hold_after = 200_000
    command = [sys.executable, "-P", str(PROGRAM), "fetch", "org/small"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    folder = fetch_folder("org/small", None)
    assert process.stderr is not None
    assert "org/small: " in process.stderr.readline(), "from now on it follows, and counts interrupts"
    held_at(folder, 200_000)
    process.send_signal(signal.SIGINT)
    said = process.stderr.read()
    assert process.wait() == 130
    assert "ending it" in said and "rung fetch org/small goes on from there" in said
    assert bytes_begun("org/small") >= 200_000


def test_python_files_come_only_where_they_are_asked_for(hub: SmallHub, cli: Cli) -> None:
    assert cli("fetch", "org/small", "--code").code == 0
    found = cached_model("org/small")
    assert found is not None and (found / "modeling_own.py").read_bytes() == FILES["modeling_own.py"]
    assert not (found / "pytorch_model.bin").exists()


@pytest.mark.accept
@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_in_a_terminal_one_live_line_tells_how_far_it_is(hub: SmallHub, tmp_path: Path) -> None:
    hub.hold_after = 400_000
    command = f"trap : INT; {sys.executable} -P {PROGRAM} fetch org/small; echo code $?; cat"
    environment = {name: value for name, value in os.environ.items() if name.startswith(("HF_", "XDG_", "NO_PROXY"))}
    terminal = Terminal(tmp_path / "tmux", ["sh", "-c", command], (80, 24), environment)
    try:
        shown = terminal.wait_for("KiB of 1000 KiB")
        assert len([line for line in shown.splitlines() if line.strip()]) == 1
        terminal.keys("C-c")
        ended = terminal.wait_for("code 130")
        assert "what has come is kept: rung fetch org/small goes on from there" in ended
    finally:
        terminal.close()


def test_a_hub_that_knows_no_ranges_sends_all_of_it_again(hub: SmallHub, cli: Cli) -> None:
    hub.ranges, hub.cuts = False, [300_000]
    assert cli("fetch", "org/small").code == 0
    assert [headers.get("range") for headers in hub.downloads()] == [None, "bytes=300000-"]


@pytest.mark.parametrize("rubbish", [b"\0" * 50_000, b"\0" * (len(WEIGHTS) + 1)], ids=["shorter", "longer"])
def test_a_damaged_part_is_found_out_and_brought_anew(rubbish: bytes, hub: SmallHub, cli: Cli) -> None:
    blobs = repository_folder("org/small") / "blobs"
    blobs.mkdir(parents=True)
    (blobs / (sha256(WEIGHTS) + PARTIAL)).write_bytes(rubbish)
    assert cli("fetch", "org/small").code == 0
    found = cached_model("org/small")
    assert found is not None and (found / "model.safetensors").read_bytes() == WEIGHTS


def test_what_is_damaged_each_time_gets_no_final_name(hub: SmallHub, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    true = hub.blobs()
    monkeypatch.setattr(hub, "blobs", lambda: {name: body[::-1] for name, body in true.items()})
    failed = cli("fetch", "org/small", "--json")
    assert failed.code == 1 and "came damaged twice" in failed.err
    assert json.loads(failed.out)["state"] == "failed"
    assert not (repository_folder("org/small") / "blobs" / sha256(WEIGHTS)).exists()
    assert cached_model("org/small") is None


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (None, ["org/gated is gated", "/org/gated, log in and accept the licence", "hf auth login"]),
        (OTHER_TOKEN, ["org/gated is gated", "not in the authorized list", "with the account of this login"]),
        ("hf_expired", ["doesn't know this login any more", "hf auth login"]),
    ],
)
def test_a_gated_model_is_explained(
    token: str | None, said: list[str], hub: SmallHub, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repositories["org/gated"] = Repository(FILES, gated=True)
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    refused = cli("fetch", "org/gated")
    assert refused.code == 1
    assert all(words in refused.err for words in said), refused.err
    assert hub.url in refused.err or token == "hf_expired"
    assert "goes on from there" not in refused.err and hub.downloads() == []


def test_the_hubs_own_login_is_read_and_goes_nowhere_else(hub: SmallHub, cli: Cli, tmp_path: Path) -> None:
    hub.repositories["org/gated"] = Repository(FILES, gated=True)
    login = tmp_path / "hf" / "token"
    login.parent.mkdir()
    login.write_text(GOOD_TOKEN)
    assert cli("fetch", "org/gated").code == 0
    asked = [headers for _, path, headers in hub.asked if not path.startswith("/cdn")]
    assert all(headers["authorization"] == f"Bearer {GOOD_TOKEN}" for headers in asked)
    assert hub.downloads() and all("authorization" not in headers for headers in hub.downloads())
    folders = [tmp_path, fetch_folder("org/gated", None).path]
    written = {file for folder in folders for file in folder.rglob("*") if file.is_file()} - {login}
    assert len(written) > 5
    assert [
        file for file in written if any(word in file.read_bytes() for word in (b"hf_good", b"Signature=secret"))
    ] == []


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["org/none"], 1, "The hub shows no model org/none"),
        (["org/small", "--revision", "v9"], 1, "org/small has no revision v9"),
        (["small"], 2, "small is not the name of a hub model"),
        (["org/pickled"], 1, "only pytorch_model.bin, which are pickles and are not loaded"),
    ],
)
def test_what_cannot_be_brought_is_told(arguments: list[str], code: int, said: str, hub: SmallHub, cli: Cli) -> None:
    hub.repositories["org/pickled"] = Repository({"config.json": b"{}", "pytorch_model.bin": b"pickle"})
    refused = cli("fetch", *arguments)
    assert (refused.code, refused.out) == (code, "")
    assert said in refused.err


def test_a_hub_that_is_not_there_is_told(cli: Cli, hub: SmallHub, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_hub() as gone:
        pass
    monkeypatch.setenv("HF_ENDPOINT", gone.url)
    refused = cli("fetch", "org/small")
    assert refused.code == 1 and f"org/small can't be brought from {gone.url}" in refused.err


def test_a_branch_that_moves_stays_usable_until_the_new_commit_is_whole(hub: SmallHub, cli: Cli) -> None:
    assert cli("fetch", "org/small").code == 0
    old = cached_model("org/small")
    newer = FILES | {"model.safetensors": WEIGHTS[::-1]}
    hub.repositories["org/small"] = Repository(newer, commit="2" * 40)
    hub.hold_after, hub.go_on = 200_000, type(hub.go_on)()
    folder = start_fetch("org/small")
    held_at(folder, 200_000)
    assert cached_model("org/small") == old
    hub.go_on.set()
    assert ended(folder).status == "finished"
    new = cached_model("org/small")
    assert new is not None and new.name == "2" * 40 and (new / "model.safetensors").read_bytes() == WEIGHTS[::-1]
    assert cached_model("org/small", "1" * 40) == old


def test_a_second_process_waits_for_the_first(hub: SmallHub) -> None:
    lock = cache_folder() / ".locks" / "models--org--small" / "rung.lock"
    lock.parent.mkdir(parents=True)
    held = try_lock(lock)
    assert held is not None
    folder = start_fetch("org/small")
    for state in follow(RunReader(folder), lambda events, state: None):
        if state.phase_done is not None:
            break
    assert state.phase_total is None and "another process brings it" in download_line(state)
    held.release()
    assert ended(folder).status == "finished"


def test_offline_says_so_and_what_is_here_is_enough(hub: SmallHub, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("fetch", "org/small").code == 0
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    here = cli("fetch", "org/small", "--json")
    assert here.code == 0 and "the hub was not asked" in here.err and json.loads(here.out)["received"] == 0
    not_here = cli("fetch", "org/other")
    assert not_here.code == 1 and "offline is asked for" in not_here.err


def test_an_interpreter_without_the_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", None)
    with pytest.raises(EngineError) as refused:
        fetch_model("org/small", None, lambda done, total: None)
    assert "no huggingface_hub" in refused.value.message
    assert ".[train]" in refused.value.hint and "worker_python" in refused.value.hint


def test_a_model_larger_than_the_caches_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    refuse_without_room("org/small", 1)
    refuse_without_room("org/small", 0)
    with pytest.raises(EngineError) as refused:
        refuse_without_room("org/small", 1 << 60)
    assert f"free at {tmp_path}" in refused.value.details and "HF_HOME" in refused.value.hint


def test_one_set_of_weights_is_wanted() -> None:
    shards = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    beside = ["config.json", "model.safetensors.index.json", "tokenizer.model"]
    others = ["consolidated.safetensors", "pytorch_model.bin.index.json", "model.fp16.safetensors", "tf/x.safetensors"]
    assert wanted_files("org/m", [*others, *shards, *beside]) == [*beside, *shards]
    assert wanted_files("org/m", [*shards, "model.safetensors"]) == ["model.safetensors"]
    assert wanted_files("org/m", ["weights.safetensors", "run.py"]) == ["weights.safetensors"]
    with_code = ["1_Pooling/config.json", "modules.json", "own/code.py", "model.safetensors"]
    assert wanted_files("org/m", [*reversed(with_code), "own/data.json"], code=True) == with_code
    with pytest.raises(EngineError, match="no weights in safetensors"):
        wanted_files("org/m", ["config.json", "tf_model.h5"])


def test_a_snapshot_counts_once_all_its_shards_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert cached_model("org/m") is None
    repository = repository_folder("org/m")
    snapshot = repository / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    (snapshot / "config.json").write_text("{}")
    index = {"weight_map": {"one": "model-1-of-2.safetensors", "two": "model-2-of-2.safetensors"}}
    (snapshot / "model.safetensors.index.json").write_text(json.dumps(index))
    (snapshot / "model-1-of-2.safetensors").touch()
    assert cached_model("org/m") is None
    (snapshot / "model-2-of-2.safetensors").touch()
    assert cached_model("org/m") == cached_model("org/m", "main") == cached_model("org/m", "a" * 40) == snapshot
    assert cached_model("org/m", "v2") is None


def test_a_snapshot_tells_its_model() -> None:
    assert name_of_snapshot(f"/cache/hub/models--org--a-b.c/snapshots/{'a' * 40}") == "org/a-b.c"
    assert name_of_snapshot("/models/models--org--name") is None and name_of_snapshot("org/name") is None


@pytest.mark.parametrize("name", ["small", "a/b/c", "../x/y", "org/..", "/etc/passwd", "org/a--b", ""])
def test_names_that_are_no_hub_ids_are_refused(name: str) -> None:
    with pytest.raises(EngineError):
        checked_name(name)


def test_pace_and_time_left_are_of_the_last_tellings() -> None:
    state = RunState()
    assert download_line(state) == "asking the hub"
    for time, done in ((10.0, 0), (11.0, 1 << 20), (12.0, 4 << 20)):
        apply(state, {"v": 1, "seq": 0, "time": time, "type": "phase", "name": "download", "done": done,
                      "total": 10 << 20, "unit": "bytes"})  # fmt: skip
    assert state.phase_pace() == 2 << 20
    assert download_line(state) == "4 MiB of 10 MiB · 40 % · 2 MiB/s · left 00:00:03"
    apply(state, {"v": 1, "seq": 1, "time": 20.0, "type": "queued", "slot_wanted": "the hub"})
    assert state.phase_pace() is None
    assert amount(12, 96, "rows") == "12/96 rows" and amount(3, None, "rows") == "3 rows"
