"""Writes docs/project.md from the project's fields: `python -m rung.engine.project.page > docs/project.md`."""

from rung.engine.metrics.kinds import COMMON_OPTIONS, METRICS
from rung.engine.project.schema import ProjectSettings
from rung.engine.recipe.field_tables import field_tables

_PREFACE = """# Projects

A project is a folder with `rung.yaml`: what is wanted, of which model, by which rows and documents, and how answers are
scored. `rung new DIR` writes one with every field; the wizard fills it in. This page is generated from the fields in
`engine/project/schema.py` by `python -m rung.engine.project.page`.

- An unknown field is refused, with the nearest known name; all faults are told at once, with their lines.
- Paths are relative to the folder of `rung.yaml`.
- Keys of services stand in no file: `key_variable` names the environment variable that holds one.
"""


def project_page() -> str:
    """The whole page as Markdown."""
    return "\n".join([_PREFACE, *field_tables(ProjectSettings, "The project itself"), _metrics()])


def _metrics() -> str:
    rows = [
        f"| `{name}` | {kind.help} | {', '.join(f'`{_written(option)}`' for option in sorted(kind.options))} |"
        for name, kind in METRICS.items()
    ]
    common = ", ".join(f"`{option}`" for option in sorted(COMMON_OPTIONS - {"name"}))
    said = (
        "A metric is written by its name, by `file.py:function` for one of your own, or with options:\n"
        "`{name: numeric, tolerance: 0.01}`. The first one decides. Every metric takes " + common + "."
    )
    return "\n".join(["## Metrics", "", said, "", "| metric | what is scored | options |", "|---|---|---|", *rows, ""])


def _written(option: str) -> str:
    return option.rstrip("_")


if __name__ == "__main__":
    print(project_page(), end="")
