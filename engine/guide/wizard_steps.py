"""How far each step of the wizard is: what is measured, checked or chosen by the project's files, not what was seen."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rung.engine.guide.wizard import Page
from rung.engine.ladder.project_facts import Facts
from rung.engine.project.checks import last_check
from rung.engine.project.schema import ProjectSettings

StepState = Literal["not yet", "open", "done"]


@dataclass(frozen=True)
class Step:
    """Whether a step is done, open (begun, and something is left to do) or not begun; and what that rests on."""

    state: StepState
    why: str


def wizard_steps(
    root: Path, project: ProjectSettings, facts: Facts, recipe_fault: str, model_lacks: str
) -> dict[Page, Step]:
    """Every step. `recipe_fault` says why the recipe can't be read, `model_lacks` what the model lacks to be used."""
    return {
        "situation": _situation(project),
        "model": Step("open", model_lacks) if model_lacks else Step("done", f"{project.model.name} is on this machine"),
        "data": _data(root, project, facts),
        "prompt": _measured(facts, "prompt") or _prompt(project),
        "rag": _measured(facts, "rag") or _rag(project, facts),
        "tune": _measured(facts, "tune") or _tune(root, project, recipe_fault),
        "verdict": _verdict(facts),
    }


def _situation(project: ProjectSettings) -> Step:
    if project.situation.wants:
        return Step("done", "what you want is chosen")
    if project.situation.task or project.target is not None:
        return Step("open", "choose what you want")
    return Step("not yet", "nothing is chosen")


def _data(root: Path, project: ProjectSettings, facts: Facts) -> Step:
    if not facts.rows:
        return Step("not yet", "no rows are split")
    checked = last_check(root, "data", project)
    if checked is None:
        return Step("open", "the rows are frozen, and not checked as they are now: k checks them")
    said = f"checked: {checked['used']:,} of {checked['rows']:,} training rows are used"
    if not checked["used"]:
        return Step("open", said)
    problems = checked["problems"]
    return Step("done", said + (f", problems: {problems:,}" if problems else ""))


def _measured(facts: Facts, rung: str) -> Step | None:
    """The step of a rung that has a score on the held-out rows, of the project's own model; None for another one."""
    rows = [row for row in facts.board.get("scoreboard") or [] if row["rung"] == rung and not row.get("endpoint")]
    sound = [row for row in rows if not row.get("leaked")]
    if sound:
        return Step("done", f"measured on {max(row['n'] for row in sound):,} held-out rows")
    if rows:
        return Step("open", "measured, but what was measured had seen held-out rows")
    return None


def _prompt(project: ProjectSettings) -> Step:
    if project.system_prompt or project.prompt_template or project.few_shot.k:
        return Step("open", "written, and not measured: m measures it")
    return Step("not yet", "not measured")


def _rag(project: ProjectSettings, facts: Facts) -> Step:
    if project.documents is None:
        return Step("not yet", "no documents are named, so a climb skips this rung")
    if facts.retrieval is not None:
        return Step("open", "retrieval is measured by itself, its answers are not: m measures them")
    return Step("open", "documents are named, and nothing is measured: m measures it")


def _tune(root: Path, project: ProjectSettings, recipe_fault: str) -> Step:
    if not (root / project.tune.recipe).exists():
        return Step("not yet", "there is no recipe")
    if recipe_fault:
        return Step("open", "the recipe has a fault")
    checked = last_check(root, "recipe", project)
    if checked is None:
        return Step("open", "the recipe is there, and not checked as it is now: k checks it")
    problems = checked["problems"]
    if problems:
        return Step("open", f"checked: {problems} {'problem' if problems == 1 else 'problems'} would stop the launch")
    return Step("open", "checked, and not measured: m trains and measures it")


def _verdict(facts: Facts) -> Step:
    verdict: Mapping[str, Any] = facts.board.get("verdict") or {}
    if not verdict:
        return Step("not yet", "nothing is measured")
    if verdict.get("rung") == "undecided":
        return Step("open", "what is measured does not decide yet")
    return Step("done", "decided by what is measured")
