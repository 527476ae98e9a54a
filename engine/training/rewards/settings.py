"""Rewards as a person writes them in a recipe: a list of names with weights and options."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rung.engine.core.errors import EngineError
from rung.engine.core.faults import count_of, describe_faults, unknown_field
from rung.engine.metrics.kinds import METRICS

METRIC_NAMES = {"numeric_answer": "numeric", "exact": "exact_match"}
"""Rewards that go by another name than the metric they are."""
OWN_OPTIONS: dict[str, set[str]] = {
    "length": {"least", "most", "unit"},
    "model": {"run", "path"},
    "python": {"file", "function", "timeout"},
}
_COMMON = {"name", "weight", "label"}


class RewardSettings(BaseModel):
    """One term of the reward. A metric's own options (pattern, schema, tolerance…) stand beside its name."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(description="numeric_answer, exact, regex, json_schema, length, model, python, or any metric")
    weight: float = Field(1.0, description="what it counts in the sum; below 0 it is a penalty")
    label: str | None = Field(None, description="name on the curves; null: the reward's name")
    least: Annotated[int, Field(ge=0)] = Field(0, description="length: shortest answer with the full reward")
    most: Annotated[int, Field(gt=0)] | None = Field(None, description="length: longest answer with the full reward")
    unit: Literal["words", "characters", "tokens"] = Field("words", description="length: what is counted")
    run: str | None = Field(None, description="model: a finished run of method reward, or the recipe file of one")
    path: str | None = Field(None, description="model: a folder or hub id of a reward model with one score")
    file: str | None = Field(None, description="python: your file")
    function: str = Field("reward", description="python: the function in it")
    timeout: Annotated[float, Field(gt=0)] = Field(30.0, description="python: seconds for one batch")

    @property
    def metric_options(self) -> dict[str, Any]:
        """The metric this reward is, as rung.yaml would have it."""
        return {"name": METRIC_NAMES.get(self.name, self.name), **(self.model_extra or {})}

    @model_validator(mode="after")
    def _takes_its_options(self) -> "RewardSettings":
        metric = METRIC_NAMES.get(self.name, self.name)
        known = [*METRIC_NAMES, *OWN_OPTIONS, *(name for name, kind in METRICS.items() if not kind.computed_elsewhere)]
        if self.name not in known:
            raise ValueError(f"there is no reward {self.name}: {unknown_field(self.name, known)}")
        options = OWN_OPTIONS.get(self.name)
        given = self.model_fields_set | set(self.model_extra or {})
        if options is not None:
            foreign = sorted(given - options - _COMMON)
            if foreign:
                raise ValueError(
                    f"{self.name} has no option {', '.join(foreign)}; it takes {', '.join(sorted(options))}"
                )
        else:
            foreign = sorted(given & set().union(*OWN_OPTIONS.values()) - {"function"} - _COMMON)
            if foreign:
                raise ValueError(f"{self.name} has no option {', '.join(foreign)} (it is the metric {metric})")
        if self.name == "length" and self.most is None:
            raise ValueError("length needs the option most")
        if self.name == "length" and self.most is not None and self.least > self.most:
            raise ValueError("length: least is above most")
        if self.name == "model" and (self.run is None) == (self.path is None):
            raise ValueError("model needs one of run (a run of method reward) and path (a folder or hub id)")
        if self.name == "python" and self.file is None:
            raise ValueError("python needs the option file")
        return self


def read_rewards(given: Any, field: str) -> list[RewardSettings]:
    """The rewards of a method's block. Raises EngineError with every fault; `field` is their place in the recipe."""
    example = "rewards: [{name: numeric_answer}, {name: length, most: 60, weight: 0.2}]"
    if not isinstance(given, list) or not given:
        raise EngineError(f"{field} needs a list of rewards", "what is a good answer?", f"for example {example}")
    rewards: list[RewardSettings] = []
    faults: list[str] = []
    for number, item in enumerate(given):
        value = {"name": item} if isinstance(item, str) else item
        try:
            rewards.append(RewardSettings.model_validate(value))
        except ValidationError as error:
            faults += [f"{field}[{number}]: {fault}" for fault in describe_faults(error, RewardSettings, {})]
    if faults:
        raise EngineError(f"{count_of(faults)} in {field}", "\n".join(faults), f"for example {example}")
    return rewards


def names_of(rewards: list[RewardSettings]) -> list[str]:
    """The rewards' names on the curves, each once."""
    names: list[str] = []
    for reward in rewards:
        name = reward.label or reward.name
        count = sum(known == name or known.startswith(f"{name}-") for known in names)
        names.append(name if count == 0 else f"{name}-{count + 1}")
    return names
