"""Puts rung.py into wheels as rung/__init__.py, and leaves it out of editable installs.

Static `force-include` would copy it into site-packages for an editable install too, and the copy would go stale.
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PackageInit(BuildHookInterface[Any]):
    """Hatchling's hook; it finds the one subclass in this file."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the file; `version` is "standard" for a real wheel and "editable" for an editable one."""
        if version == "standard":
            build_data["force_include"]["rung.py"] = "rung/__init__.py"
