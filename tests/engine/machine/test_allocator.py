"""Which allocator a worker gets."""

import subprocess
import sys
from pathlib import Path

import pytest

from rung.engine.jobs.program import worker_environment
from rung.engine.machine import allocator
from rung.engine.machine.allocator import find_tcmalloc, heap_of, preloaded
from tests.helpers.on_screen import ROOT

LOOK = "from rung.engine.machine.allocator import heap_here; print(heap_here())"


@pytest.fixture
def plain_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU, and a tcmalloc in one place."""
    monkeypatch.setattr(allocator, "has_nvidia_driver", lambda: False)
    monkeypatch.setattr(allocator, "find_tcmalloc", lambda: Path("/usr/lib/libtcmalloc_minimal.so.4"))


def test_tcmalloc_is_preloaded_on_a_cpu_alone_and_over_nobodys_choice(
    plain_machine: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert preloaded({}) == {"LD_PRELOAD": "/usr/lib/libtcmalloc_minimal.so.4"}
    assert preloaded({"LD_PRELOAD": "libnss_wrapper.so"}) == {}
    monkeypatch.setattr(allocator, "has_nvidia_driver", lambda: True)
    assert preloaded({}) == {}
    monkeypatch.setattr(allocator, "has_nvidia_driver", lambda: False)
    monkeypatch.setattr(allocator, "find_tcmalloc", lambda: None)
    assert preloaded({}) == {}


def test_a_heap_goes_by_what_is_preloaded() -> None:
    assert heap_of({}) == "glibc"
    assert heap_of({"LD_PRELOAD": "libnss_wrapper.so"}) == "glibc"
    assert heap_of({"LD_PRELOAD": "/usr/lib/libjemalloc.so.2"}) == "tcmalloc"


def test_it_is_looked_for_in_this_pythons_environment_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path / "lib" / "libtcmalloc.so.4"
    library.parent.mkdir()
    library.touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert find_tcmalloc() == library
    monkeypatch.setattr(sys, "platform", "darwin")
    assert find_tcmalloc() is None


@pytest.mark.skipif(find_tcmalloc() is None, reason="tcmalloc is not installed")
def test_a_worker_really_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "has_nvidia_driver", lambda: False)
    monkeypatch.delenv("LD_PRELOAD", raising=False)

    def heap(preload: dict[str, str]) -> str:
        environment = worker_environment() | {"PYTHONPATH": str(ROOT)} | preload
        command = [sys.executable, "-c", LOOK]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    assert heap({}) == "tcmalloc"
    assert heap({"LD_PRELOAD": "/nowhere/libtcmalloc.so.4"}) == "glibc", "the loader goes on without it"
