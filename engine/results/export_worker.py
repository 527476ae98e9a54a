"""The worker behind `rung export` and `rung adapters merge` and `combine`: one question, phases, one answer.

The question is one JSON value on stdin; stdout carries JSON lines: {"phase": …} and then the answer or {"error": …}.
When nobody reads them any more the work goes on, as a job does.
"""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.jobs.failures import is_disk_full
from rung.engine.jobs.folder import RunFolder
from rung.engine.models.load import load_tokenizer
from rung.engine.recipe.load import load_recipe
from rung.engine.results.adapters import result_of
from rung.engine.results.exports import refuse_without_space
from rung.engine.results.model_card import write_card
from rung.engine.results.whole_folder import whole_folder

Said = Callable[[str], None]


def main() -> int:
    """Answer the question on stdin. What libraries print goes to stderr, so that stdout holds the answer alone."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    asked = json.load(sys.stdin)
    speak = _Speaker(answers)
    try:
        speak.say(_do(asked, lambda phase: speak.say({"phase": phase})))
    except EngineError as error:
        speak.say({"error": {"message": error.message, "details": error.details, "hint": error.hint}})
    return 0


def export(asked: dict[str, Any], said: Said) -> dict[str, Any]:
    """Write a run's result as a folder that transformers or peft load. Raises EngineError."""
    root, folder, target = Path(asked["root"]), RunFolder(Path(asked["run"])), Path(asked["target"])
    result, recipe = result_of(folder), load_recipe(folder.recipe)
    with whole_folder(target) as partial:
        if asked["merged"]:
            from rung.engine.results.merge import merge_into

            facts = merge_into(partial, folder, recipe, root, asked["dtype"], said)
        else:
            said("copying the weights")
            refuse_without_space(target, sum(file.stat().st_size for file in result.rglob("*") if file.is_file()))
            shutil.copytree(result, partial, dirs_exist_ok=True, ignore=shutil.ignore_patterns("README.md"))
            facts = {"notes": []}
        if not (partial / "tokenizer_config.json").exists():
            _tokenizer_of(result, recipe, root).save_pretrained(partial)
        shutil.copy(folder.recipe, partial / "recipe.yaml")
        said("writing the model card")
        notes = write_card(partial, folder, recipe, root, asked["merged"], facts)
    return {
        "run": folder.id,
        "path": str(target),
        "kind": "model" if asked["merged"] else result.name,
        "merged": asked["merged"],
        "bytes": sum(file.stat().st_size for file in target.rglob("*") if file.is_file()),
        **{name: value for name, value in facts.items() if name != "notes"},
        "notes": notes,
    }


def _do(asked: dict[str, Any], said: Said) -> dict[str, Any]:
    if asked["kind"] == "combine":
        from rung.engine.results.combine import combine as work
    else:
        work = export
    from safetensors import SafetensorError

    try:
        return work(asked, said)
    except (OSError, SafetensorError) as error:
        full = is_disk_full(error)
        raise EngineError(
            f"{asked['target']} can't be written",
            str(error),
            "free space, or name a folder on another disk" if full else "name another folder",
        ) from error


def _tokenizer_of(result: Path, recipe: Any, root: Path) -> Any:
    """The tokenizer that was saved with the result, chat template included; else the recipe's."""
    if (result / "tokenizer_config.json").exists():
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(result)
    return load_tokenizer(recipe.model, root)


def _end(_number: int, _frame: FrameType | None) -> None:
    """SIGTERM means: leave nothing. Raised as an exit, so that what was begun is removed on the way out."""
    sys.exit(128 + signal.SIGTERM)


class _Speaker:
    """Writes lines until nobody reads them."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._heard = stream, True

    def say(self, value: dict[str, Any]) -> None:
        """One line."""
        if not self._heard:
            return
        try:
            self._stream.write(json.dumps(value, ensure_ascii=False) + "\n")
            self._stream.flush()
        except BrokenPipeError:
            self._heard = False
