"""A worker that the kernel killed for want of memory, told by recorded counters: in files, in lines, on screen."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from rung.engine.jobs.events import Started, Step
from rung.engine.jobs.folder import RunFolder
from rung.engine.machine.oom_kills import KILLED, KILLED_HINT, count_oom_kills, was_probably_killed
from rung.tui.shell.app import RungApp
from tests.conftest import Ran
from tests.helpers.on_screen import shown, until
from tests.helpers.recorded import write_run

RUN = "20260102-030405-sft-ab12"
EVENTS = "low 0\nhigh 0\nmax 7\noom 2\noom_kill {}\noom_group_kill 0\n"


@pytest.fixture
def counter(tmp_path: Path) -> Path:
    """A control group's counter, at 3."""
    path = tmp_path / "cgroup" / "job" / "memory.events"
    path.parent.mkdir(parents=True)
    path.write_text(EVENTS.format(3))
    return path


def crashed_run(root: Path, counter: Path, host: str = "") -> RunFolder:
    (root / "rung.yaml").write_text("")
    began = Started(host or socket.gethostname(), 42, ["cpu"], 1, {str(counter): 3})
    return write_run(root, RUN, [began, Step(1, 0.5, 2.0)])


def test_the_counter_is_the_control_groups_own_and_only_else_the_machines(tmp_path: Path, counter: Path) -> None:
    own, machine = tmp_path / "own", tmp_path / "vmstat"
    machine.write_text("pgfault 12\noom_kill 40\n")
    root = tmp_path / "cgroup"
    own.write_text("0::/job\n")
    assert count_oom_kills(root, own, machine) == {str(counter): 3}
    own.write_text("0::/elsewhere\n")
    assert count_oom_kills(root, own, machine) == {str(machine): 40}
    old = root / "memory" / "job" / "memory.oom_control"
    old.parent.mkdir(parents=True)
    old.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n")
    own.write_text("4:memory:/job\n")
    assert count_oom_kills(root, own, machine) == {str(old): 5}
    own.write_text("0::/elsewhere\n")
    machine.write_text("pgfault 12\n")
    assert count_oom_kills(root, own, machine) == {}


def test_only_a_risen_counter_of_this_host_says_so(counter: Path) -> None:
    here, before = socket.gethostname(), {str(counter): 3}
    assert not was_probably_killed(here, before)
    counter.write_text(EVENTS.format(4))
    assert was_probably_killed(here, before)
    assert not was_probably_killed("another", before)
    assert not was_probably_killed(here, {})
    # A restart of the machine counts from zero, and a control group may be gone with its job.
    counter.write_text(EVENTS.format(0))
    assert not was_probably_killed(here, before)
    counter.unlink()
    assert not was_probably_killed(here, before)


@pytest.mark.parametrize("command", [("runs",), ("watch", RUN)])
def test_the_lines_say_it_where_it_is_known(
    command: tuple[str, ...], cli: Callable[..., Ran], counter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashed_run(tmp_path, counter)
    monkeypatch.chdir(tmp_path)
    before = cli(*command)
    assert "crashed" in before.out
    assert KILLED not in before.out
    counter.write_text(EVENTS.format(4))
    after = cli(*command)
    assert after.code == before.code
    assert KILLED in after.out
    assert f"hint: {KILLED_HINT}" in after.out


@pytest.mark.parametrize(("kills", "said"), [(4, KILLED), (3, "its last words are in the log")])
async def test_the_run_screen_says_it_where_it_is_known(kills: int, said: str, counter: Path, tmp_path: Path) -> None:
    crashed_run(tmp_path, counter)
    counter.write_text(EVENTS.format(kills))
    app = RungApp(tmp_path, run=RUN)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "✖ crashed" in shown(app))
        assert said in shown(app)
        assert (KILLED in shown(app)) == (kills > 3)
