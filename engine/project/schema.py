"""The fields of rung.yaml, each declared once with its help text; forms, messages and comments are rendered from here.

Paths are relative to the folder that holds rung.yaml. Unknown fields are refused.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from rung.engine.recipe.schema import Columns, Fraction, ModelSettings, Positive, Shape, Strict
from rung.engine.retrieval.prompting import DEFAULT_CHUNK, DEFAULT_FRAME
from rung.engine.retrieval.settings import RetrievalSettings

Want = Literal["facts", "format", "hard_task", "cost", "preference"]
Selection = Literal["fixed", "nearest"]
NotNegative = Annotated[float, Field(ge=0)]


class Situation(Strict):
    """What the user wants of the model."""

    wants: list[Want] = Field(
        default_factory=list,
        description="facts: things the model doesn't know; format: form or tone; hard_task: even large models fail; "
        "cost: as good, but smaller; preference: which of two answers is better is known",
    )
    task: str = Field("", description="what the model is to do, in your own words")


class ProjectData(Strict):
    """Examples, split once: what is learned from, what is chosen on, and what is held out for the scoreboard."""

    train: str | None = Field(None, description="rows to learn from and to take few-shot examples from")
    validation: str | None = Field(None, description="rows that prompts, retrieval and checkpoints are chosen on")
    test: str | None = Field(
        None, description="held-out rows: every candidate is scored on them, none is chosen on them"
    )
    shape: Shape = Field("auto", description="what a row holds; auto: told from its fields")
    columns: Columns = Field(default_factory=dict, description="wanted field: column of the file")
    group_by: str | None = Field(
        None,
        description="column whose equal values stay in one split (passage, user); "
        "null: found by its name, or as a long text that repeats; none: no column",
    )
    time_by: str | None = Field(None, description="column to split by time: the latest rows are held out")
    label: str | None = Field(None, description="column with a class label: every split gets its share of each")
    gold: str | None = Field(None, description="column with the passage, or its document, that answers the question")
    sources: list[str] = Field(default_factory=list, description="files the splits were made from")


class DecodingSettings(Strict):
    """How answers are generated, the same for every candidate."""

    max_new_tokens: Positive = Field(128, description="longest answer, in tokens; answers that reach it are counted")
    temperature: NotNegative = Field(0.0, description="0: always the likeliest token, so that scores repeat exactly")
    top_p: Fraction = Field(1.0, description="sample from the likeliest tokens that together have this probability")
    seed: int = Field(0, description="seed of sampling; of no effect at temperature 0")
    stop: list[str] = Field(
        default_factory=list, description="texts that end an answer, beside the model's own stop token"
    )


class FewShotSettings(Strict):
    """Training examples shown in the prompt."""

    k: Annotated[int, Field(ge=0)] = Field(0, description="how many examples stand before the question")
    selection: Selection = Field("fixed", description="fixed: always the same; nearest: the training rows most like it")
    seed: int = Field(0, description="which rows are the fixed ones")


class RagPromptSettings(Strict):
    """How passages and the question are put into one prompt."""

    frame: str = Field(DEFAULT_FRAME, description="{chunks} stands for the passages, {question} for the question")
    chunk: str = Field(
        DEFAULT_CHUNK, description="one passage: {text} and, where wanted, {number}, {title}, {source} for its parts"
    )
    strip_citations: bool = Field(True, description="take [1] and the like out of answers before they are scored")

    @model_validator(mode="after")
    def _has_placeholders(self) -> "RagPromptSettings":
        for field, text, wanted in (("frame", self.frame, ("chunks", "question")), ("chunk", self.chunk, ("text",))):
            missing = [f"{{{name}}}" for name in wanted if f"{{{name}}}" not in text]
            if missing:
                raise ValueError(f"{field} lacks {' and '.join(missing)}")
        return self


class PromptTrials(Strict):
    """What the prompt rung tries on the validation rows; the best goes to the held-out rows."""

    system_prompts: list[str] = Field(
        default_factory=list, description="further system prompts to try beside system_prompt and none"
    )
    k: list[Annotated[int, Field(ge=0)]] = Field([0, 2, 4, 8], description="numbers of examples to try")
    selections: list[Selection] = Field(["fixed", "nearest"], description="ways of choosing them to try")


class RetrievalTrials(Strict):
    """What the RAG rung tries on the validation rows; the best goes to the held-out rows."""

    chunk_sizes: list[Annotated[int, Field(ge=50)]] = Field([400, 800], description="chunk sizes to try, in characters")
    k: list[Positive] = Field([1, 3], description="numbers of chunks to try")


class TuneSettings(Strict):
    """What the tune rung trains."""

    recipe: str = Field("recipes/sft.yaml", description="the recipe that is run")
    also: list[str] = Field(
        default_factory=list,
        description="further recipes, run in this order after it and measured beside it, a reward model among them",
    )
    with_retrieval: bool = Field(False, description="measure the tuned model with retrieved chunks too")
    learning_curve: list[Annotated[float, Field(gt=0, lt=1)]] = Field(
        default_factory=list,
        description="shares of the training rows to train on as well, for example [0.25, 0.5]: does more data help?",
    )


class JudgeModel(Strict):
    """The language model that compares answers pairwise."""

    model: ModelSettings | None = Field(None, description="a local judge; null: an endpoint")
    endpoint: str | None = Field(None, description="name of one of the endpoints; null: the local judge")
    criterion: str = Field("", description="what makes an answer better, in your own words")
    labels: str | None = Field(None, description="file of pairs that you judged yourself, to check the judge against")


class EndpointModel(Strict):
    """A model behind an OpenAI-compatible endpoint. The key is read from the environment, never from here."""

    name: str = Field(description="what the scoreboard calls it")
    url: str = Field(description="address of the service, for example http://localhost:8000/v1")
    model: str = Field(description="the model's name there")
    key_variable: str | None = Field(None, description="environment variable that holds the key; null: no key")
    concurrency: Positive = Field(4, description="requests at once")
    timeout_s: Annotated[float, Field(gt=0)] = Field(120.0, description="seconds to wait for one answer")
    price_in: NotNegative | None = Field(None, description="price of a million prompt tokens")
    price_out: NotNegative | None = Field(None, description="price of a million answer tokens")


class BudgetSettings(Strict):
    """What one climb may spend; null: no limit."""

    minutes: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="wall time of a climb, shared: each rung may try variants for an equal part of what is left, and "
        "is measured once it has begun; when all is spent nothing more is begun, and a training is saved",
    )
    tokens: Positive | None = Field(
        None, description="prompt and answer tokens of a climb's evaluations, shared over the rungs as minutes are"
    )
    validation_rows: Positive = Field(100, description="validation rows that each variant is tried on, at most")
    test_rows: Positive | None = Field(None, description="held-out rows that are scored; null: all")
    machine_hour: NotNegative | None = Field(None, description="price of this machine's hour, for the cost per answer")


class ProjectSettings(Strict):
    """A project, as rung.yaml declares it."""

    name: str = Field(description="what the project is called")
    situation: Situation = Field(default_factory=Situation, description="what you want of the model")
    model: ModelSettings = Field(description="the model that is prompted, given documents, and tuned")
    endpoints: list[EndpointModel] = Field(default_factory=list, description="models to measure beside it")
    data: ProjectData = Field(default_factory=ProjectData, description="examples")
    documents: RetrievalSettings | None = Field(None, description="texts to answer from; null: there are none")
    metrics: list[Any] = Field(["exact_match"], description="how answers are scored; the first one decides")
    target: float | None = Field(None, description="score of the first metric that is good enough; null: none is set")
    margin: NotNegative = Field(0.02, description="a candidate this little worse than the best counts as good as it")
    decoding: DecodingSettings = Field(default_factory=DecodingSettings, description="how answers are generated")
    strip_reasoning: bool = Field(True, description="take <think>…</think> out of answers before they are scored")
    system_prompt: str | None = Field(None, description="instructions before every question; null: none")
    prompt_template: str | None = Field(
        None, description="how a question is put; {question} stands for it; null: the question alone"
    )
    few_shot: FewShotSettings = Field(default_factory=FewShotSettings, description="examples in the prompt")
    rag_prompt: RagPromptSettings = Field(
        default_factory=RagPromptSettings, description="how passages and the question are put into one prompt"
    )
    prompt_trials: PromptTrials = Field(default_factory=PromptTrials, description="what the prompt rung tries")
    retrieval_trials: RetrievalTrials = Field(default_factory=RetrievalTrials, description="what the RAG rung tries")
    tune: TuneSettings = Field(default_factory=TuneSettings, description="what the tune rung trains")
    judge: JudgeModel | None = Field(None, description="a model that compares answers; null: none")
    budget: BudgetSettings = Field(default_factory=BudgetSettings, description="what one climb may spend")
    overrides: list[Literal["leaks"]] = Field(
        default_factory=list,
        description="refusals that you override, by name; leaks: held-out rows in the training rows",
    )
    worker_python: str | None = Field(
        None,
        description="interpreter of the workers; null: the one that the user's settings name, or the one Rung runs in; "
        "a recipe may name its own",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "ProjectSettings":
        names = [endpoint.name for endpoint in self.endpoints]
        if len(set(names)) < len(names):
            raise ValueError("endpoints: two have the same name")
        if self.judge is not None and self.judge.endpoint is not None and self.judge.endpoint not in names:
            raise ValueError(f"judge.endpoint: {self.judge.endpoint} is not the name of one of the endpoints")
        if not self.metrics:
            raise ValueError("metrics: name at least one")
        if self.prompt_template is not None and "{question}" not in self.prompt_template:
            raise ValueError("prompt_template lacks {question}")
        return self
