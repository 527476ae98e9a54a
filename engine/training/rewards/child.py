"""Runs a person's reward function in a process of its own; started as a script, it imports nothing but this file.

Usage: python -P child.py FILE FUNCTION. JSON lines on stdin and stdout; what the function prints goes to stderr. A
process of its own because a function that hangs, even inside a regular expression, can only be ended from outside.
"""

import importlib.util
import inspect
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main(path: Path, name: str) -> int:
    """Answer requests until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    try:
        function = _load(path, name)
    except BaseException as error:  # noqa: BLE001  (whatever a person's file does is told, not raised here)
        tell({"error": _described(error, path)})
        return 1
    tell({"ready": True})
    for line in sys.stdin:
        try:
            tell({"scores": _plain(_call(function, json.loads(line)))})
        except BaseException as error:  # noqa: BLE001
            tell({"error": _described(error, path)})
    return 0


def _load(path: Path, name: str) -> Callable[..., Any]:
    spec = importlib.util.spec_from_file_location("reward_file", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules["reward_file"] = module
    sys.path.append(str(path.parent))
    spec.loader.exec_module(module)
    function = getattr(module, name, None)
    if not callable(function):
        there = [found for found, value in vars(module).items() if inspect.isfunction(value)]
        raise AttributeError(f"there is no function {name}; there is: {', '.join(there) or 'none'}")
    found: Callable[..., Any] = function
    return found


def _call(function: Callable[..., Any], batch: dict[str, Any]) -> Any:
    """With those of prompts, completions, references and rows that the function's signature names."""
    parameters = inspect.signature(function).parameters.values()
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)
    names = {parameter.name for parameter in parameters}
    return function(**{name: value for name, value in batch.items() if takes_any or name in names})


def _plain(scores: Any) -> Any:
    """numpy's and torch's arrays and numbers as Python's; anything else as its type's name, for the message."""
    scores = scores.tolist() if hasattr(scores, "tolist") else scores
    if not isinstance(scores, (list, tuple)):
        return {"not a list": type(scores).__name__}
    plain = [item.item() if hasattr(item, "item") else item for item in scores]
    return [item if item is None or isinstance(item, (int, float)) else {"not a number": repr(item)} for item in plain]


def _described(error: BaseException, path: Path) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    place = f"\n{path}, line {frames[-1].lineno}: {frames[-1].line or ''}" if frames else ""
    if isinstance(error, SyntaxError):
        place = f"\n{path}, line {error.lineno}"
    return f"{type(error).__name__}: {error}{place}"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
