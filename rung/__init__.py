"""Rung: prompt, RAG or fine-tune; measured on the same held-out examples, in the terminal.

The names below are for notebooks and scripts (docs/extending.md); each is loaded when it is first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rung.engine.core.errors import EngineError
    from rung.engine.jobs.run import Run

__version__ = "0.1.0"
__all__ = ["EngineError", "Run", "__version__"]

_HOME = {"EngineError": "rung.engine.core.errors", "Run": "rung.engine.jobs.run"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
