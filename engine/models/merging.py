"""Which adapters can become part of their base's weights, told from their configuration alone."""

from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json


def merge_refused() -> EngineError:
    """Why a bottleneck adapter stays beside its base."""
    return EngineError(
        "A bottleneck adapter can't be merged into its base",
        "it has a non-linearity, which no weight of the base can express",
        "keep it beside the base (adapter/), or train a LoRA, which can be merged",
    )


def refuse_unmergeable(adapter: Path) -> None:
    """Raise EngineError where the adapter in this folder can't be merged."""
    if adapter_config(adapter).get("peft_type") == "BOTTLENECK":
        raise merge_refused()


def refuse_uncombinable(adapter: Path) -> None:
    """Raise EngineError where the adapter in this folder can't be added to others by weight."""
    config = adapter_config(adapter)
    kind = "DoRA" if config.get("use_dora") else str(config.get("peft_type", "")).replace("BOTTLENECK", "bottleneck")
    if kind != "LORA":
        why = {
            "DoRA": "its magnitudes scale the base's own weights, and don't add up",
            "bottleneck": "it has a non-linearity, and doesn't add up",
        }
        raise EngineError(
            f"Only LoRA adapters can be combined; that of {adapter.parent.name} is {kind}",
            why.get(kind, ""),
            "train LoRA adapters, or compare the two side by side",
        )


def adapter_config(adapter: Path) -> dict[str, Any]:
    """PEFT's configuration of an adapter. Raises EngineError where the folder holds none."""
    path = adapter / "adapter_config.json"
    if not path.exists():
        raise EngineError(f"{adapter} holds no adapter", "adapter_config.json is missing")
    config: dict[str, Any] = read_json(path)
    return config
