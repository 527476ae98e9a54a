"""`rung compare` over a worker that only speaks the protocol: the answers, and the proof that the base is the base."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Ran
from tests.helpers.fake_generation_worker import fake_generation_python
from tests.tui.compare.test_compare_screen import make_run

Cli = Callable[..., Ran]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one finished run, and the current folder in it."""
    make_run(tmp_path, "20260101-000000-sft-aaaa", fake_generation_python(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_proof_is_told_and_the_answers_are_the_result(cli: Cli) -> None:
    ran = cli("compare", "last", "--prompt", "What is the total?", "--json")
    assert ran.code == 0, ran.err
    base, tuned = json.loads(ran.out)
    assert (base["candidate"], tuned["candidate"]) == ("base", "sft-aaaa")
    assert base["answer"].startswith("The total is 412.50")
    assert base["fingerprint"].startswith("7c1e03aa")
    assert "base fingerprint 7c1e03aa = plain base (on cpu" in ran.err


def test_a_base_that_changed_under_the_last_answer_is_an_error(cli: Cli) -> None:
    ran = cli("compare", "last", "--prompt", "What is the total?", "--prompt", "mismatch", "--json")
    assert ran.code == 2
    assert "The base pane is not the plain base" in ran.err
    assert ran.out == "", "answers of a base that is none are no result"


def test_a_folder_that_takes_no_log_is_told(cli: Cli, project: Path) -> None:
    (project / "runs" / "20260101-000000-sft-aaaa" / "compare.log").mkdir()
    ran = cli("compare", "last", "--prompt", "?")
    assert ran.code == 2
    assert "no place for its log" in ran.err
    assert "compare.log: Is a directory" in ran.err
