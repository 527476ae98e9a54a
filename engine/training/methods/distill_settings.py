"""The `distill` block of a recipe: who teaches, how, and which of the teacher's answers are good enough."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from rung.engine.core.errors import EngineError
from rung.engine.core.faults import count_of, describe_faults
from rung.engine.project.schema import EndpointModel
from rung.engine.recipe.schema import ModelSettings, Positive, Recipe, Strict


class TeacherSettings(Strict):
    """The bigger model: one of `model` (a local folder or hub id) and `endpoint` (an OpenAI-compatible service)."""

    model: ModelSettings | None = Field(None, description="a local model, as in the recipe's model block")
    endpoint: EndpointModel | None = Field(None, description="a service: name, url, model, key_variable…")
    system: str | None = Field(None, description="a system turn for the teacher alone; the student learns without it")
    temperature: Annotated[float, Field(ge=0)] = Field(0.0, description="0: the likeliest answer; above: sampled")
    max_new_tokens: Positive = Field(256, description="longest answer, in tokens; one that is cut off is not used")

    @model_validator(mode="after")
    def _is_one(self) -> "TeacherSettings":
        if (self.model is None) == (self.endpoint is None):
            raise ValueError("name one teacher: model or endpoint")
        return self


class FilterSettings(Strict):
    """Which answers are good enough to be learned."""

    metric: Any = Field(description="a metric as in rung.yaml: numeric, exact_match, {name: regex, pattern: …}")
    least: float = Field(1.0, description="lowest score of an answer that is kept")


class AnswerJudge(Strict):
    """Who says whether an answer is good; one of `model` and `endpoint`."""

    model: ModelSettings | None = Field(None, description="a local judge, as in the recipe's model block")
    endpoint: EndpointModel | None = Field(None, description="a service: name, url, model, key_variable…")
    criterion: str = Field(
        "the answer is correct, and helps the person who asked",
        description="what a good answer is, in your words; the judge sees question, answer, and reference if any",
    )
    max_new_tokens: Positive = Field(
        256, description="longest verdict with its reasons, in tokens; an answer without a readable verdict is dropped"
    )

    @model_validator(mode="after")
    def _is_one(self) -> "AnswerJudge":
        if (self.model is None) == (self.endpoint is None):
            raise ValueError("name one judge: model or endpoint")
        if not self.criterion.strip():
            raise ValueError("criterion is empty: say in words what a good answer is")
        return self

    @property
    def words(self) -> str:
        """Who judges, for people."""
        if self.model is not None:
            return self.model.name
        assert self.endpoint is not None
        return f"the endpoint {self.endpoint.name}"


class DistillSettings(Strict):
    """Distillation from a teacher."""

    mode: Literal["answers", "logits"] = Field(
        "answers", description="answers: the teacher answers, the student learns that; logits: the student answers, "
        "the teacher's probabilities correct it token by token (a local teacher with the same vocabulary)"
    )  # fmt: skip
    teacher: TeacherSettings = Field(description="who teaches")
    samples: Positive = Field(1, description="answers of the teacher to each prompt; needs a temperature above 0")
    filter: FilterSettings | None = Field(None, description="which answers are kept; null: all that are not cut off")
    judge: AnswerJudge | None = Field(
        None, description="a model that looks at each answer the filter keeps, and drops those it doesn't call good"
    )

    metric: Any = Field(
        None, description="a metric as in rung.yaml by which student and teacher are compared at each evaluation, on "
        "prompts with a reference; null: the filter's"
    )  # fmt: skip

    @model_validator(mode="after")
    def _fits_together(self) -> "DistillSettings":
        if self.mode == "logits" and self.teacher.model is None:
            raise ValueError("mode logits needs a local teacher: teacher: {model: {name: …}}")
        if self.mode == "logits" and self.filter is not None:
            raise ValueError("mode logits learns no answers of the teacher's that a filter could choose; set metric")
        if self.mode == "logits" and self.judge is not None:
            raise ValueError("mode logits learns no answers of the teacher's that a judge could choose")
        if self.samples > 1 and self.teacher.temperature == 0:
            raise ValueError("several samples are the same at temperature 0; set teacher.temperature")
        return self


OWN_FIELDS = frozenset(DistillSettings.model_fields)


def distill_settings(recipe: Recipe) -> DistillSettings:
    """The recipe's block, checked. Raises EngineError with every fault; arguments of TRL's stand aside."""
    given = {name: value for name, value in recipe.distill.items() if name in OWN_FIELDS}
    try:
        return DistillSettings.model_validate(given)
    except ValidationError as error:
        faults = [f"distill.{fault}" for fault in describe_faults(error, DistillSettings, {})]
        raise EngineError(
            f"{count_of(faults)} in distill", "\n".join(faults), "distill: {teacher: {model: {name: …}}} is enough"
        ) from None
