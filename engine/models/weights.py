"""Folders of trained weights: an adapter or a whole model, how large, and attached to its base."""

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rung.engine.core.errors import EngineError
from rung.engine.models.attach import register_adapters

BYTES_PER_PARAMETER = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0, "nf4": 0.55, "int8": 1.1}


@dataclass(frozen=True)
class Weights:
    """A folder of weights that can answer.

    `method` is PEFT's word for an adapter's kind, for example LORA; `mixable` is False where PEFT refuses to answer a
    batch of several adapters.
    """

    path: Path
    kind: Literal["adapter", "model"]
    method: str = ""
    mixable: bool = True


def read_weights(path: Path) -> Weights:
    """What lies in `path`. Raises EngineError when it is nothing that answers with text."""
    if not path.is_dir():
        raise EngineError(f"There is no folder {path}", hint="give a run's adapter/ or model/, or a model folder")
    adapter_config = path / "adapter_config.json"
    if adapter_config.exists():
        config = _read_config(adapter_config)
        _refuse_scorers(path, config.get("task_type") == "SEQ_CLS")
        return Weights(path, "adapter", str(config.get("peft_type", "")), not config.get("use_dora", False))
    if (path / "config.json").exists():
        names = _read_config(path / "config.json").get("architectures") or []
        _refuse_scorers(path, any(str(name).endswith("ForSequenceClassification") for name in names))
        return Weights(path, "model")
    raise EngineError(f"{path} holds neither an adapter nor a model", "no adapter_config.json and no config.json")


def attach_adapter(model: Any, path: Path, name: str) -> Any:
    """The model with the adapter of a folder attached as `name`. Raises EngineError when it doesn't fit."""
    from peft import PeftConfig, PeftModel

    register_adapters()
    device = str(model.device)
    try:
        config = PeftConfig.from_pretrained(str(path))
        if config.is_prompt_learning:
            raise EngineError(
                f"{path} is a {config.peft_type} adapter", "adapters that add tokens can't be compared here"
            )
        if not isinstance(model, PeftModel):
            return PeftModel.from_pretrained(model, str(path), adapter_name=name, torch_device=device)
        model.load_adapter(str(path), name, torch_device=device)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise EngineError(
            f"The adapter {path} can't be attached to this base",
            "\n".join(lines[:3]),
            "an adapter fits only the base that it was trained on",
        ) from error
    return model


def count_parameters(folder: Path) -> int:
    """The number of values in a folder's safetensors files, from their headers alone."""
    return sum(_count_in_file(file) for file in folder.glob("*.safetensors"))


def _count_in_file(file: Path) -> int:
    # The format: eight bytes little-endian length of the header, then JSON: {tensor: {dtype, shape, data_offsets}}.
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(length))
    total = 0
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        size = 1
        for extent in tensor["shape"]:
            size *= extent
        total += size
    return total


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EngineError(f"{path} is not valid JSON", str(error)) from None
    return config


def _refuse_scorers(path: Path, is_scorer: bool) -> None:
    if is_scorer:
        raise EngineError(f"{path} is a reward model: it scores answers and gives none", hint="compare another run")
