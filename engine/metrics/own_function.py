"""A metric of the user's own: a Python function, loaded from its file and called on each answer."""

import importlib.util
import inspect
import math
import numbers
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.core.files import sha256_file, sha256_text


def load_function(path: Path, name: str) -> Callable[..., Any]:
    """The function `name` of a Python file. Raises EngineError if there is no such file or function, or it won't load.

    The file is run by its path: it is never looked up as a package, and its folder doesn't join the import path.
    """
    if not path.is_file():
        raise EngineError(f"The metric's file {path} does not exist", hint="write it as path/to/file.py:function")
    module = _module(path.resolve(), sha256_file(path))
    function = getattr(module, name, None)
    if not callable(function):
        there = [found for found, value in vars(module).items() if _is_own(value, module)]
        raise EngineError(f"{path} has no function {name}", "it has: " + (", ".join(there) or "none"))
    if _arguments_taken(function) == 0:
        raise EngineError(
            f"{path}:{name} can't be called", hint="it takes (answer, reference) or (answer, reference, row)"
        )
    found: Callable[..., Any] = function
    return found


def call_function(
    function: Callable[..., Any], where: str, answer: str, reference: Any, row: Mapping[str, Any], example: str
) -> float:
    """The function's score of one answer. Raises EngineError naming the example if it raises or gives no number."""
    arguments = (answer, reference, dict(row))[: _arguments_taken(function)]
    try:
        score = function(*arguments)
    except Exception as error:
        raise EngineError(
            f"The metric {where} failed on example {example}",
            f"{type(error).__name__}: {error}\n{_place(error)}",
            "a metric must give a number for every answer, the empty one too",
        ) from error
    # numpy's numbers register as numbers.Real; its booleans don't, but their .item() is one.
    value = score.item() if hasattr(score, "item") else score
    if not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise EngineError(
            f"The metric {where} gave no number for example {example}",
            f"it gave {score!r}, a {type(score).__name__}",
            "return a finite number, or True or False",
        )
    return float(value)


@lru_cache(maxsize=64)
def _module(path: Path, sha256: str) -> ModuleType:
    name = f"rung_metric_{sha256_text(str(path))[:12]}_{sha256[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise EngineError(f"{path} is not a Python file", hint="a metric's file ends in .py")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickling look their module up by name.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        place = f"line {error.lineno}" if isinstance(error, SyntaxError) else _place(error)
        raise EngineError(
            f"The metric's file {path} can't be loaded", f"{type(error).__name__}: {error}\n{place}"
        ) from error
    return module


def _arguments_taken(function: Callable[..., Any]) -> int:
    """3 or 2: whether it can be called with answer, reference and row, or without the row; 0 where neither."""
    try:
        signature = inspect.signature(function)
    except ValueError:
        return 3
    for count in (3, 2):
        try:
            signature.bind(*[None] * count)
        except TypeError:
            continue
        return count
    return 0


def _is_own(value: Any, module: ModuleType) -> bool:
    return inspect.isfunction(value) and value.__module__ == module.__name__


def _place(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename}, line {last.lineno}: {last.line or ''}".rstrip(": ")
