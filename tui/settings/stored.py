"""The user's settings: read once at start, written whole when one changes."""

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

CHART_MODES = ("braille", "block", "ascii")


@dataclass(frozen=True)
class Settings:
    """What a user may choose; every field has a default that works."""

    theme: str = "rung-dark"
    chart_mode: str = "braille"
    worker_python: str = ""
    idle_minutes: int = 10


def settings_path() -> Path:
    """`rung/settings.json` in the user's configuration folder (XDG_CONFIG_HOME, or ~/.config)."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "rung" / "settings.json"


def load_settings(path: Path | None = None) -> Settings:
    """The saved settings; a missing or unreadable file, or a field of the wrong kind, gives the default."""
    try:
        saved = json.loads((path or settings_path()).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Settings()
    if not isinstance(saved, dict):
        return Settings()
    good = {
        item.name: saved[item.name]
        for item in fields(Settings)
        if item.name in saved and type(saved[item.name]) is type(item.default)
    }
    settings = Settings(**good)
    return settings if settings.chart_mode in CHART_MODES else Settings(**(good | {"chart_mode": "braille"}))


def save_settings(settings: Settings, path: Path | None = None) -> None:
    """Write the settings in one step. Raises OSError where the folder can't be written."""
    from rung.engine.core.files import write_json_atomic

    write_json_atomic(path or settings_path(), asdict(settings))
