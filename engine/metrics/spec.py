"""A metric as a person writes it in rung.yaml: a name, or a name with options."""

import difflib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from rung.engine.core.files import canonical_json, sha256_file, sha256_text
from rung.engine.metrics.kinds import COMMON_OPTIONS, METRICS, MetricKind
from rung.engine.metrics.numbers import Decimals
from rung.engine.metrics.reasoning import REASONING_TAGS
from rung.engine.stats.intervals import Bounds


class MetricSpec(BaseModel):
    """One metric and its options. Paths are relative to the folder it was parsed for (the project's)."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    name: str = Field(description="which metric: " + ", ".join(METRICS))
    casefold: bool = Field(False, description="take capital and small letters for the same")
    pattern: str | None = Field(None, description="regular expression (Python's re) to find in the answer")
    tolerance: Annotated[float, Field(ge=0)] = Field(0.0, description="how far off a right number may be")
    decimals: Decimals = Field(
        "auto", description="how numbers are written: point (1,234.5), comma (1.234,5), or auto: as each one shows"
    )
    schema_: dict[str, Any] | str | None = Field(None, alias="schema", description="JSON Schema, or a file that has it")
    fields: list[str] | None = Field(None, description="JSON fields that count, as a.b; null: all of the reference's")
    code_fence: bool = Field(False, description="accept JSON inside a Markdown code fence")
    labels: list[str] | None = Field(None, description="the labels there are; one named in a longer answer is found")
    function: str | None = Field(None, description="path.py:function, called with answer, reference and row")
    range: tuple[float, float] | None = Field(None, description="lowest and highest score the function can give")
    higher_is_better: bool = Field(True, description="whether a higher score of the function is a better one")
    references: str | None = Field(None, description="column of the row with a list of all answers that are right")
    reasoning_tags: list[str] = Field(
        list(REASONING_TAGS), description="tags whose contents are taken out of the answer before it is scored"
    )
    _root: Path = PrivateAttr(default=Path("."))

    @property
    def kind(self) -> MetricKind:
        """What is known of the metric of this name."""
        return METRICS[self.name]

    @property
    def bounds(self) -> Bounds | None:
        """Lowest and highest possible score, where there are such."""
        return self.range if self.name == "function" else self.kind.bounds

    @property
    def worst(self) -> float | None:
        """The worst possible score, where there is one."""
        return None if self.bounds is None else self.bounds[0 if self.more_is_better else 1]

    @property
    def more_is_better(self) -> bool:
        """Whether a higher score is a better one."""
        return self.kind.higher_is_better and self.higher_is_better

    @property
    def key(self) -> str:
        """The name, and with options their hash, for example `regex-1f0c92ab`: equal keys score equally.

        The contents of a function's or schema's file count, so an edited one gets a new key.
        """
        options = self.model_dump(exclude_defaults=True, exclude={"name"}, by_alias=True)
        for path in self._files():
            options[f"sha256 of {path.name}"] = sha256_file(path)
        return f"{self.name}-{sha256_text(canonical_json(options))[:8]}" if options else self.name

    def in_folder(self, root: Path) -> "MetricSpec":
        """This metric, with its paths seen from `root` from now on."""
        self._root = root
        return self

    def resolve(self, path: str) -> Path:
        """A path of the person's, seen from the project's folder."""
        return self._root / path

    @model_validator(mode="after")
    def _takes_its_options(self) -> "MetricSpec":
        kind = METRICS.get(self.name)
        if kind is None:
            near = difflib.get_close_matches(self.name, METRICS, n=3, cutoff=0.5)
            advice = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(METRICS)}"
            raise ValueError(f"there is no metric {self.name}; {advice}")
        foreign = sorted(self.model_fields_set - kind.options - COMMON_OPTIONS)
        if foreign:
            taken = ", ".join(_written(name) for name in sorted(kind.options | COMMON_OPTIONS - {"name"}))
            raise ValueError(f"{self.name} has no option {', '.join(map(_written, foreign))}; it takes {taken}")
        missing = [name for name in sorted(kind.required) if getattr(self, name) is None]
        if missing:
            raise ValueError(f"{self.name} needs the option {', '.join(map(_written, missing))}")
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError("range: the first number must be below the second")
        return self

    def _files(self) -> list[Path]:
        written = [self.function.rpartition(":")[0]] if self.function else []
        written += [self.schema_] if isinstance(self.schema_, str) else []
        return [path for path in map(self.resolve, written) if path.is_file()]


def _written(field: str) -> str:
    return field.rstrip("_")
