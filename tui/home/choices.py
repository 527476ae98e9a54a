"""What the welcome screen offers, and what it gathers from the disk for that."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from textual.content import Content
from textual.widgets.option_list import Option

from rung.engine.guide.recent_projects import recent_projects
from rung.engine.jobs.folder import RunFolder, list_runs
from rung.engine.jobs.reader import read_run
from rung.engine.project import is_project
from rung.tui.text.glyphs import Glyphs
from rung.tui.text.words import one_line

DEMOS = {
    "format": "teach a small model to answer in a given format",
    "facts": "answer questions from documents the model never saw",
    "preference": "learn which of two answers people prefer",
}
RECENT_PROJECTS = 6
RECENT_RUNS = 5


@dataclass(frozen=True)
class Offer:
    """What was found: this folder's project and recipes, recent projects, recent runs with their state word."""

    root: Path
    has_project: bool = False
    recipes: list[Path] = field(default_factory=list)
    projects: list[Path] = field(default_factory=list)
    runs: list[tuple[RunFolder, str]] = field(default_factory=list)


def look_around(root: Path) -> Offer:
    """Read what can be offered in `root`; for a background thread."""
    others = [path for path in recent_projects() if path != root][:RECENT_PROJECTS]
    newest = list(reversed(list_runs(root)))[:RECENT_RUNS]
    return Offer(
        root, is_project(root), sorted((root / "recipes").glob("*.yaml")), others,
        [(folder, read_run(folder)[1]) for folder in newest],
    )  # fmt: skip


def options(offer: Offer, marks: Glyphs) -> list[Option | None]:
    """The list of the welcome screen; None is a line between groups."""
    listed: list[Option | None] = [_heading("Try it: about three minutes on two CPU cores, no network")]
    listed += [_option(f"demo:{name}", f"demo {name}", text) for name, text in DEMOS.items()]
    listed += [None, _heading(f"This folder: {offer.root.name}" + ("" if offer.has_project else " (no project yet)"))]
    if offer.recipes:
        names = ", ".join(path.name for path in offer.recipes)
        listed.append(_option("start", "start a recipe", names))
    if offer.has_project:
        listed.append(_option("runs", "runs", "every run of this project"))
    listed += [
        _option(f"run:{folder.path}", f"{marks.states.get(status, '')} {folder.id}", status)
        for folder, status in offer.runs
    ]
    listed += [None, _heading("Projects"), _option("new", "new project", "from a model and your own data")]
    listed.append(_option("open", "open a folder", "with a rung.yaml in it"))
    listed += [_option(f"project:{path}", path.name, str(path)) for path in offer.projects]
    return listed


def _heading(text: str) -> Option:
    return Option(Content.styled(text, "bold $text-accent"), disabled=True)


def _option(key: str, name: str, about: str) -> Option:
    return Option(Content.assemble(f"  {one_line(name, 34):<26} ", (one_line(about, 90), "$muted")), id=key)


def first_enabled(listed: Sequence[Option | None]) -> int:
    """Where the mark stands at first."""
    options_only = [option for option in listed if option is not None]
    return next((index for index, option in enumerate(options_only) if not option.disabled), 0)
