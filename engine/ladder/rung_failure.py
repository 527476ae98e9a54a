"""A rung that failed, in words: a person's mistake as it is, a fault of the program as one, with the log."""

from pathlib import Path

from rung.engine.core.errors import EngineError
from rung.engine.jobs.failures import is_out_of_memory, last_words
from rung.engine.jobs.ladder_events import RungFailed
from rung.engine.ladder.pairs import RUNG_WORDS
from rung.engine.ladder.spec import Rung

AGAIN = "the same command tries it again"


def failure_of(rung: Rung, error: Exception, log: Path) -> RungFailed:
    """What to tell of a rung that broke on `error`; `log` is where its traceback stands."""
    if isinstance(error, EngineError):
        return RungFailed(rung, error.message, error.details, error.hint, fault=False)
    if is_out_of_memory(error):
        told = last_words(error, resumable=True, work="evaluation")
        return RungFailed(rung, told.message, told.details, told.hint, fault=False)
    name = RUNG_WORDS[rung].capitalize()
    return RungFailed(
        rung, f"{name} failed on a fault of the program", in_one_line(error), f"{log} shows where; {AGAIN}", fault=True
    )


def reason_of(failure: RungFailed) -> str:
    """The failure as a scoreboard's reason."""
    if failure.fault:
        return f"a fault of the program, {failure.details}"
    return f"{failure.message}. {failure.details}".strip()


def in_one_line(error: Exception) -> str:
    """`ValueError: a shape that nobody expected`."""
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0]}" if said else type(error).__name__
