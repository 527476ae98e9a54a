"""LanceDB's coroutines awaited from ordinary code.

Its blocking API passes through its own event loop half a dozen times a search; here each search does once (a third less
CPU time measured, and far less waiting on a busy machine).
"""

import asyncio
import threading
from collections.abc import Coroutine
from functools import cache
from typing import Any, TypeVar

Result = TypeVar("Result")


def wait_for(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """The coroutine's result; from any thread, also one with a running event loop of its own (which then waits)."""
    return asyncio.run_coroutine_threadsafe(coroutine, _loop()).result()


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="retrieval", daemon=True).start()
    return loop
