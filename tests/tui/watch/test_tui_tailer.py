"""The background thread: bounded batches, waiting for the app, the order of last word and death, a clean end."""

import json
import queue
import threading
from pathlib import Path
from typing import Any, TypeVar

from textual.message import Message

from rung.engine.jobs.folder import RunFolder
from rung.engine.ladder.board_file import BOARD_VERSION
from rung.tui.watch.ladder import Standing, ladder_state
from rung.tui.watch.messages import EventsRead, LadderRead, LivenessRead, LogRead, RunFound
from rung.tui.watch.tailer import BATCH_BYTES, BATCHES_AHEAD, Tailer
from rung.tui.watch.watched_run import WatchedRun
from tests.helpers.on_screen import held_lock
from tests.helpers.recorded import FINISHED_RUN, write_run

RUN = "20251123-100000-sft-aaaa"
Heard = TypeVar("Heard", bound=Message)


class Ear:
    """Takes what the tailer says, as the app's queue does."""

    def __init__(self) -> None:
        self.said: queue.Queue[Message] = queue.Queue()
        self.all: list[Message] = []

    def next(self, kind: type[Heard]) -> Heard:
        """The next message of a kind; others before it are kept in `all`."""
        while True:
            message = self.said.get(timeout=30)
            self.all.append(message)
            if isinstance(message, kind):
                return message


def tailing(root: Path) -> tuple[Tailer, Ear]:
    ear = Ear()
    tailer = Tailer(root, ear.said.put)
    tailer.start()
    return tailer, ear


def stopped(tailer: Tailer) -> None:
    tailer.stop()
    tailer.join(timeout=30)
    assert not tailer.is_alive()


def test_a_long_file_comes_in_bounded_batches_that_wait_for_the_app(tmp_path: Path) -> None:
    folder = write_run(tmp_path, RUN, FINISHED_RUN[:3])
    with folder.events.open("a") as events:
        for step in range(1, 40_001):
            event = {"v": 1, "seq": step + 2, "time": 1.0, "type": "step", "step": step, "epoch": 0.1, "loss": 1 / step}
            events.write(json.dumps(event) + "\n")
    size = folder.events.stat().st_size
    assert size > 2 * BATCHES_AHEAD * BATCH_BYTES
    tailer, ear = tailing(tmp_path)
    waiting = [ear.next(EventsRead) for _ in range(BATCHES_AHEAD)]
    # Nothing is folded yet, so no more is read.
    assert not [message for message in list(ear.said.queue) if isinstance(message, EventsRead)]
    assert (
        sum(len(json.dumps(event)) for message in waiting for event in message.events)
        < (BATCHES_AHEAD + 1) * BATCH_BYTES
    )
    run = WatchedRun(RUN, folder)
    for message in waiting:
        run.fold(message.events)
        tailer.folded()
    while not run.caught_up:
        message = ear.next(EventsRead)
        run.fold(message.events)
        run.caught_up = message.caught_up
        if message.events:
            tailer.folded()
    assert run.state.step == 40_000
    assert list(run.state.curves["loss"].steps) == list(range(1, 40_001))
    stopped(tailer)


def test_it_ends_while_the_app_folds_nothing(tmp_path: Path) -> None:
    folder = write_run(tmp_path, RUN, FINISHED_RUN)
    with folder.events.open("a") as events:
        for _ in range(12):
            events.write((json.dumps({"type": "warning", "message": "y" * 1000}) + "\n") * 260)
    tailer, ear = tailing(tmp_path)
    for _ in range(BATCHES_AHEAD):
        ear.next(EventsRead)
    stopped(tailer)


def test_an_app_that_is_gone_ends_it(tmp_path: Path) -> None:
    write_run(tmp_path, RUN, FINISHED_RUN)

    def closed(_: Message) -> None:
        raise RuntimeError("Event loop is closed")

    tailer = Tailer(tmp_path, closed)
    tailer.start()
    tailer.join(timeout=30)
    assert not tailer.is_alive()


def test_the_last_word_comes_before_the_news_of_the_death(tmp_path: Path) -> None:
    folder = write_run(tmp_path, RUN, FINISHED_RUN[:5])
    with held_lock(folder):
        tailer, ear = tailing(tmp_path)
        assert ear.next(LivenessRead).alive
        write_run(tmp_path / "other", RUN, FINISHED_RUN)
        with folder.events.open("a") as events:
            events.writelines((tmp_path / "other" / "runs" / RUN / "events.jsonl").read_text().splitlines(True)[5:])
    words = ear.next(EventsRead)
    while not any(event["type"] == "finished" for event in words.events):
        words = ear.next(EventsRead)
    stopped(tailer)
    deaths = [message for message in ear.all if isinstance(message, LivenessRead) and not message.alive]
    assert deaths == []


def test_a_worker_that_dies_without_a_word_is_told_with_its_log(tmp_path: Path) -> None:
    folder = write_run(tmp_path, RUN, FINISHED_RUN[:5])
    folder.log.write_text("Killed\n")
    tailer, ear = tailing(tmp_path)
    assert not ear.next(LivenessRead).alive
    assert ear.next(LogRead).text == "Killed\n"
    stopped(tailer)


def test_a_folder_without_events_is_not_called_dead_at_once(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "runs" / RUN)
    folder.requests.mkdir(parents=True)
    tailer, ear = tailing(tmp_path)
    ear.next(EventsRead)
    folder.recipe.write_text("method: sft\n")
    found = ear.next(RunFound)
    while not found.recipe:
        found = ear.next(RunFound)
    stopped(tailer)
    assert not [message for message in ear.all if isinstance(message, LivenessRead)]


def test_the_ladder_is_read_from_the_scoreboard(tmp_path: Path) -> None:
    tailer, ear = tailing(tmp_path)
    assert ear.next(LadderRead).ladder.standings[2] == Standing("tune")
    rows: list[dict[str, Any]] = [
        {"candidate": "a", "rung": "prompt", "metric": "exact_match", "score": 0.35, "low": 0.3, "high": 0.4},
        {"candidate": "b", "rung": "prompt", "metric": "exact_match", "score": 0.41, "low": 0.35, "high": 0.47},
        {"candidate": "c", "rung": "rag", "metric": "exact_match", "score": 0.58, "low": 0.52, "high": 0.64},
    ]
    (tmp_path / "rung.yaml").write_text("target: 0.8\n")
    board = tmp_path / "scoreboard.partial"
    board.write_text(
        json.dumps(
            {"version": BOARD_VERSION, "scoreboard": rows, "pairs": [], "verdict": {"rung": "rag", "reasons": []}}
        )
    )
    board.rename(tmp_path / "scoreboard.json")
    ladder = ear.next(LadderRead).ladder
    while not ladder.metric:
        ladder = ear.next(LadderRead).ladder
    stopped(tailer)
    assert [standing.score for standing in ladder.standings] == [0.41, 0.58, None]
    assert (ladder.standings[1].low, ladder.standings[1].high, ladder.standings[1].chosen) == (0.52, 0.64, True)
    assert (ladder.metric, ladder.target, ladder.verdict) == ("exact_match", 0.8, "rag")


def test_the_ladder_leaves_out_what_decides_nothing(tmp_path: Path) -> None:
    """A model that learned from held-out rows, another model's endpoint, and the verdict of an earlier version."""
    row = {"metric": "exact_match", "low": 0.1, "high": 0.9}
    rows = [
        row | {"candidate": "a", "rung": "prompt", "score": 0.4, "chosen": True},
        row | {"candidate": "b", "rung": "prompt", "score": 0.5},
        row | {"candidate": "c", "rung": "prompt", "score": 0.9, "endpoint": "big"},
        row | {"candidate": "d", "rung": "tune", "score": 1.0, "leaked": "learned from 40 held-out rows"},
    ]
    (tmp_path / "scoreboard.json").write_text(json.dumps({"scoreboard": rows, "verdict": {"rung": "prompt"}}))
    found = ladder_state(tmp_path)
    assert [standing.score for standing in found.standings] == [0.4, None, None]
    assert found.verdict == "" and not any(standing.chosen for standing in found.standings)


def test_a_ladder_of_damaged_files_is_empty(tmp_path: Path) -> None:
    (tmp_path / "scoreboard.json").write_text('{"scoreboard": [1, {"rung": "rag", "score": "high"}], "verdict": 3')
    (tmp_path / "rung.yaml").write_text("target: [")
    assert ladder_state(tmp_path).standings == (Standing("prompt"), Standing("rag"), Standing("tune"))
    (tmp_path / "scoreboard.json").write_text('{"scoreboard": [1, {"rung": "rag", "score": "high"}], "verdict": 3}')
    (tmp_path / "rung.yaml").write_text("- target\n")
    assert ladder_state(tmp_path).target is None


def test_only_one_thread_is_ours(tmp_path: Path) -> None:
    for number in range(5):
        write_run(tmp_path, f"20251123-10000{number}-sft-aaaa", FINISHED_RUN)
    before = threading.active_count()
    tailer, ear = tailing(tmp_path)
    for _ in range(5):
        ear.next(RunFound)
    assert threading.active_count() == before + 1
    stopped(tailer)
