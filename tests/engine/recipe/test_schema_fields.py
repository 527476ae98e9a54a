"""No setting is read by nothing: every field of every settings class has a reader outside its own declaration."""

import ast
from pathlib import Path
from typing import Any, get_args

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.recipe.load import build_recipe
from rung.engine.recipe.schema import Method, Recipe, TrainingSettings
from rung.engine.training.methods.arguments import trl_arguments
from tests.helpers.program import ROOT
from tests.helpers.schema_reads import Fields, parse, settings_fields, unread_fields

MODULES = parse([ROOT / "engine", ROOT / "tui", ROOT / "recipes"])
FIELDS = settings_fields(MODULES.values())
RECIPE = {"method": "sft", "model": {"name": "pocket"}, "data": {"train": "rows.jsonl"}}

# Read by their names alone: a method's own block, and what is handed on to TRL whole.
BLOCKS = {f"Recipe.{method}" for method in get_args(Method)}
HANDED_ON = {f"TrainingSettings.{name}" for name in ("lr_scheduler_type", "max_grad_norm", "weight_decay")}


@pytest.fixture(scope="module")
def unread() -> set[str]:
    return unread_fields(MODULES.values(), FIELDS | made_up())


def made_up() -> Fields:
    """The settings with fields that nothing reads: of an unusual name, and of names that much else has."""
    return {
        "ProbeSettings": FIELDS["ProbeSettings"] | {"made_up": frozenset()},
        "LauncherSettings": FIELDS["LauncherSettings"] | {"path": frozenset(), "name": frozenset()},
        "SampleSettings": FIELDS["SampleSettings"] | {"source": frozenset()},
    }


def test_every_kind_of_settings_is_looked_at() -> None:
    assert {"Recipe", "ProjectSettings", "CandidateSpec", "MetricSpec", "RewardSettings", "SplitPlan"} <= set(FIELDS)
    assert {"RetrievalSettings", "DistillSettings", "ConstitutionSettings", "EndpointModel"} <= set(FIELDS)
    assert set(FIELDS["Recipe"]) == set(Recipe.model_fields)


def test_every_field_is_read_by_something_else(unread: set[str]) -> None:
    ours = {f"{name}.{field}" for name, fields in FIELDS.items() for field in fields}
    assert (unread & ours) - BLOCKS - HANDED_ON == set()


def test_a_field_that_nothing_reads_is_found(unread: set[str]) -> None:
    added = {"ProbeSettings.made_up", "LauncherSettings.path", "LauncherSettings.name", "SampleSettings.source"}
    assert added <= unread


READS = {
    "by an annotation": "def f(probe: 'ProbeSettings | None'):\n    return probe.limit",
    "through its owner": "def f(recipe: Recipe):\n    return recipe.probe.limit",
    "by a name for it": "def f(recipe: Recipe):\n    probe = recipe.probe\n    return lambda: probe.limit",
    "by what a function gives": "def make() -> Recipe: ...\ndef f():\n    return make().probe.limit",
    "through an attribute": "class C:\n    def __init__(self, r: Recipe):\n        self._r = r\n    def f(self):\n"
    "        return self._r.probe.limit",
    "as one of several": "def f(all: list[ProbeSettings]):\n    return [one.limit for one in all]",
}
NO_READS = {
    "another thing's": "def f(thing: Thing):\n    return thing.limit",
    "written only": "def f(probe: ProbeSettings):\n    probe.limit = 1",
    "in its own check": "class ProbeSettings(Strict):\n    limit: float\n    @model_validator(mode='after')\n"
    "    def _check(self):\n        assert self.limit\n        return self",
    "in a text": "def f(probe: ProbeSettings):\n    return 'probe.limit'",
}


@pytest.mark.parametrize("source", READS.values(), ids=READS)
def test_what_counts_as_read(source: str) -> None:
    assert "ProbeSettings.limit" not in unread_fields([ast.parse(source)], FIELDS)


@pytest.mark.parametrize("source", NO_READS.values(), ids=NO_READS)
def test_what_does_not_count_as_read(source: str) -> None:
    assert "ProbeSettings.limit" in unread_fields([ast.parse(source)], FIELDS)


@pytest.mark.parametrize("method", get_args(Method))
def test_a_methods_block_is_read_by_its_name(method: str) -> None:
    recipe = build_recipe(RECIPE | {"method": method}, "here")
    assert recipe.method_block() is getattr(recipe, method)


def test_what_is_handed_on_reaches_trl(tmp_path: Path) -> None:
    from types import SimpleNamespace

    from trl import SFTConfig

    values = {"lr_scheduler_type": "linear", "max_grad_norm": 0.7, "weight_decay": 0.3}
    assert {f"TrainingSettings.{name}" for name in values} == HANDED_ON
    assert set(values) <= set(TrainingSettings.model_fields)
    job: Any = SimpleNamespace(
        recipe=build_recipe(RECIPE | {"training": values}, "here"), device="cpu", root=tmp_path,
        folder=SimpleNamespace(path=tmp_path, id="a-run"), schedule=SimpleNamespace(total_steps=3),
    )  # fmt: skip
    arguments = trl_arguments(job, SFTConfig)
    assert {name: getattr(arguments, name) for name in values} == values


@pytest.mark.parametrize(
    ("launcher", "said"),
    [
        ({"kind": "slurm"}, "kind slurm is not built yet: nothing hands a run to Slurm"),
        ({"kind": "slurm", "partition": "gpu"}, "one local process on one GPU, so leave launcher out"),
        ({"kind": "torchrun", "processes": 4}, "kind torchrun is not built yet: nothing starts several processes"),
        ({"kind": "locl"}, "launcher.kind: input should be 'local'"),
        ({"kind": "local", "processes": 4}, "launcher.processes: unknown field"),
    ],
)
def test_a_launcher_that_is_not_built_is_refused_with_the_reason(launcher: dict[str, Any], said: str) -> None:
    with pytest.raises(EngineError) as refused:
        build_recipe(RECIPE | {"launcher": launcher}, "here")
    assert said in refused.value.details
    assert refused.value.message.startswith("One fault")
