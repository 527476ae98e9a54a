"""A worker's log holds no line of a library that means nothing to a person, and all others."""

import importlib.util
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from rung.engine.jobs.quiet import NO_NEWS, leave_out_no_news


@pytest.fixture
def quiet() -> Iterator[None]:
    before = {name: logging.getLogger(name).filters[:] for name in NO_NEWS}
    leave_out_no_news()
    yield
    for name, filters in before.items():
        logging.getLogger(name).filters[:] = filters


@pytest.mark.parametrize("name", NO_NEWS)
def test_a_known_line_is_dropped_and_another_of_the_same_library_is_not(
    name: str, quiet: None, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger(name)
    # Of transformers, records don't go beyond the library's own handler.
    logger.addHandler(caplog.handler)
    try:
        for beginning in NO_NEWS[name]:
            logger.warning(f"{beginning} from somewhere: %s", "No module named 'kernels'")
        logger.warning("The weights don't fit: %s", "rank 8")
    finally:
        logger.removeHandler(caplog.handler)
    assert {record.getMessage() for record in caplog.records} == {"The weights don't fit: rank 8"}


@pytest.mark.parametrize("name", NO_NEWS)
def test_the_installed_library_still_says_it_there(name: str) -> None:
    """A line that moved would be shown again, and its entry here would be of no use."""
    package = name.partition(".")[0]
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"{package} is not installed")
    file = Path(spec.origin).parent.joinpath(*name.split(".")[1:]).with_suffix(".py")
    said = file.read_text(encoding="utf-8")
    assert all(beginning in said for beginning in NO_NEWS[name])


def test_a_worker_is_quiet_before_it_imports_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    from rung.engine import worker as main

    order: list[str] = []
    monkeypatch.setattr(main, "leave_out_no_news", lambda: order.append("quiet"))

    def session(folder: Path) -> int:
        order.append("session")
        return 0

    monkeypatch.setattr("rung.engine.training.session.run_session", session)
    assert main.main(["train", "nowhere"]) == 0
    assert order == ["quiet", "session"]
