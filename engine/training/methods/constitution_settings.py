"""The `constitution` block of a recipe: the principles, how answers are criticised and revised, and who judges."""

import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from rung.engine.core.errors import EngineError
from rung.engine.core.faults import count_of, describe_faults
from rung.engine.core.files import canonical_json
from rung.engine.data.shapes import Message
from rung.engine.project.schema import EndpointModel
from rung.engine.recipe.schema import ModelSettings, Positive, Recipe, Strict

CRITIQUE_REQUEST = """Look at your last answer by this principle: {principle}
Say in a few sentences where the answer falls short of it, and say so where it doesn't."""
REVISION_REQUEST = """Now write your last answer again so that it follows this principle: {principle}
Write the answer alone, without a word about the change. Where nothing needs to change, repeat it word for word."""
_BULLET = re.compile(r"^(?:[-*•]|\d+[.)])\s+")


class FeedbackJudge(Strict):
    """Who compares each revised answer with the first one; without model and endpoint the model itself."""

    model: ModelSettings | None = Field(None, description="a local judge, as in the recipe's model block")
    endpoint: EndpointModel | None = Field(None, description="a service: name, url, model, key_variable…")
    max_new_tokens: Positive = Field(256, description="longest verdict with its reasons, in tokens")
    labels: str | None = Field(None, description="file of pairs that you judged yourself, to check the judge against")

    @model_validator(mode="after")
    def _is_one(self) -> "FeedbackJudge":
        if self.model is not None and self.endpoint is not None:
            raise ValueError("name one judge: model or endpoint")
        return self

    @property
    def is_the_model_itself(self) -> bool:
        """Whether the model that answers judges too."""
        return self.model is None and self.endpoint is None

    @property
    def words(self) -> str:
        """Who judges, for people."""
        if self.model is not None:
            return self.model.name
        return f"the endpoint {self.endpoint.name}" if self.endpoint is not None else "the model itself"


class ConstitutionSettings(Strict):
    """AI feedback: the model criticises its own answers by your principles, revises them, and prefers the revisions."""

    principles: str = Field(description="a text file with one principle a line; lines that begin with # are remarks")
    rounds: Positive = Field(1, description="critiques and revisions of each answer, each by another principle")
    temperature: Annotated[float, Field(ge=0)] = Field(0.0, description="0: the likeliest answers; above: sampled")
    max_new_tokens: Positive = Field(256, description="longest answer, in tokens; one that is cut off makes no pair")
    critique_request: str = Field(
        CRITIQUE_REQUEST, description="what asks for the critique; {principle} stands for the principle"
    )
    revision_request: str = Field(
        REVISION_REQUEST, description="what asks for the revision; {principle} stands for the principle"
    )
    judge: FeedbackJudge | None = Field(
        default_factory=FeedbackJudge, description="who judges the pairs, shown in both orders; null: nobody"
    )
    keep: Literal["all", "judged"] = Field(
        "all", description="pairs to train on: all, or judged: those whose revision the judge prefers in both orders"
    )
    review: bool = Field(
        True, description="stop once the pairs are made, for you to read and weed; rung resume trains on what is left"
    )
    batch_size: Positive = Field(16, description="answers generated at once; lower it when memory runs out")

    @model_validator(mode="after")
    def _fits_together(self) -> "ConstitutionSettings":
        if self.keep == "judged" and self.judge is None:
            raise ValueError("keep: judged needs a judge")
        for name in ("critique_request", "revision_request"):
            if "{principle}" not in getattr(self, name):
                raise ValueError(f"{name} lacks {{principle}}")
        return self


OWN_FIELDS = frozenset(ConstitutionSettings.model_fields)


def constitution_settings(recipe: Recipe) -> ConstitutionSettings:
    """The recipe's block, checked. Raises EngineError with every fault; arguments of TRL's stand aside."""
    given = {name: value for name, value in recipe.constitution.items() if name in OWN_FIELDS}
    try:
        return ConstitutionSettings.model_validate(given)
    except ValidationError as error:
        faults = [f"constitution.{fault}" for fault in describe_faults(error, ConstitutionSettings, {})]
        raise EngineError(
            f"{count_of(faults)} in constitution",
            "\n".join(faults),
            "constitution: {principles: principles.txt} is enough",
        ) from None


def read_principles(settings: ConstitutionSettings, root: Path) -> list[str]:
    """The principles, without bullets and numbers. Raises EngineError for a file without enough of them."""
    path = root / settings.principles
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EngineError(
            f"The principles can't be read from {path}",
            str(error),
            "constitution.principles names a text file with one principle a line",
        ) from None
    lines = [line.strip() for line in text.splitlines()]
    principles = [_BULLET.sub("", line) for line in lines if line and not line.startswith("#")]
    if len(principles) < settings.rounds:
        raise EngineError(
            f"{path} holds {len(principles)} principles",
            f"constitution.rounds is {settings.rounds}, each by another principle",
            "write one principle a line, for example: Say so when you don't know.",
        )
    return principles


def drawn_principles(
    principles: list[str], rounds: int, seed: int, prompt: Sequence[Message], line: int
) -> tuple[str, ...]:
    """The principles of one prompt's rounds, decided by the seed, the prompt and its line, wherever its file lies."""
    place = canonical_json([seed, list(prompt), line])
    return tuple(random.Random(place).sample(principles, rounds))
