"""A recipe's fields, each declared once with its help text; forms, messages and documentation are rendered from here.

Names and meanings follow TRL, PEFT and Transformers. Unknown fields are refused.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from rung.engine.core.errors import EngineError
from rung.engine.recipe.column_names import check_fields
from rung.engine.recipe.rates import epochs, learning_rate

Method = Literal["sft", "cpt", "dpo", "kto", "orpo", "reward", "grpo", "rloo", "distill", "constitution"]
Shape = Literal[
    "auto", "messages", "conversations", "alpaca", "prompt_completion", "question_answer", "text",
    "preference", "hh", "kto", "prompts",
]  # fmt: skip
Override = Literal[
    "leaks", "no_trained_token", "stop_token", "all_truncated", "template", "context", "disk",
    "recipe_changed", "data_changed",
]  # fmt: skip
"""The gate's refusals, by name."""
Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


def _known_fields(columns: dict[str, str]) -> dict[str, str]:
    try:
        check_fields(columns)
    except EngineError as error:
        raise ValueError(f"{error.message}; {error.hint or error.details}") from None
    return columns


Columns = Annotated[dict[str, str], AfterValidator(_known_fields)]
"""Which column of a file is which field of a row."""


class Strict(BaseModel):
    """A block of a recipe: unknown keys are refused, values are not silently converted."""

    model_config = ConfigDict(extra="forbid", validate_default=True, protected_namespaces=())


class ModelSettings(Strict):
    """The model that is adapted."""

    name: str = Field(description="a folder, a hub id, or pocket (the small model that comes with Rung)")
    revision: str | None = Field(None, description="hub branch, tag or commit; null: the default branch")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="weights in memory; auto: bfloat16 where the device computes it; else, and all trained: float32",
    )
    quantization: Literal["none", "nf4", "int8"] = Field(
        "none", description="nf4: 4-bit weights with double quantisation, for QLoRA; int8: 8-bit"
    )
    attention: str = Field("auto", description="auto, sdpa, eager, flash_attention_2 or another name Transformers has")
    chat_template: str | None = Field(
        None, description="null: the tokenizer's own; a file; or a built-in: plain, chatml"
    )
    template_args: dict[str, Any] = Field(
        default_factory=dict, description="arguments of the template, for example {enable_thinking: false}"
    )
    trust_remote_code: bool = Field(False, description="run Python code that comes with the model; off is safe")


class AdapterSettings(Strict):
    """What is trained beside the frozen base. `adapter: null` trains every weight."""

    kind: Literal["lora", "dora", "bottleneck"] = Field("lora", description="lora, dora or bottleneck")
    r: Positive = Field(16, description="rank of LoRA, or width of a bottleneck: more learns more and costs more")
    lora_alpha: Positive = Field(32, description="scale: the update counts alpha / r; twice r is a common choice")
    lora_dropout: Fraction = Field(
        0.05,
        description="share of the adapter's inputs dropped while training; dpo, kto, orpo and reward drop none "
        "unless their disable_dropout is false",
    )
    target_modules: str | list[str] = Field(
        "all-linear", description="all-linear, or names of the layers to adapt, for example [q_proj, v_proj]"
    )
    use_rslora: bool = Field(False, description="scale by alpha / sqrt(r), steadier at a high rank")
    placement: Literal["pfeiffer", "houlsby"] = Field(
        "pfeiffer", description="bottleneck only: after feed-forward, or after attention too (houlsby)"
    )
    activation: Literal["relu", "gelu", "silu", "tanh"] = Field("relu", description="bottleneck only: non-linearity")


class ReplaySettings(Strict):
    """General examples mixed into training against forgetting."""

    source: str | None = Field(None, description="a file, a hub id, builtin, or self (the base model's own answers)")
    ratio: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(0.0, description="share of training rows that are replayed")


class DataSettings(Strict):
    """Examples and how they are read."""

    train: str = Field(
        description="training rows: JSONL, JSON, CSV, TSV or Parquet, also .gz, .xz or .zst; a folder of them; a hub id"
    )
    validation: str | None = Field(None, description="rows for choosing; null: 10 % of the training rows, at most 200")
    split: str | None = Field(None, description="split of a hub data set, or of a folder like one; null: train")
    validation_split: str | None = Field(None, description="the split of it that holds the rows for choosing")
    revision: str | None = Field(None, description="hub branch, tag or commit of the data; null: the default branch")
    streaming: bool = Field(False, description="download no more of a hub data set than the rows that are read")
    max_rows: Positive | None = Field(None, description="rows of a hub data set that are read at most; null: all")
    shape: Shape = Field("auto", description="what a row holds; auto: told from its fields")
    columns: Columns = Field(default_factory=dict, description="wanted field: column of the file")
    max_length: Positive = Field(1024, description="tokens of one example; what is longer is cut, and said")
    loss_on: Literal["assistant", "last_turn", "completion", "all"] = Field(
        "assistant", description="which tokens are learned: every answer, the last one, the completion, or all"
    )
    replay: ReplaySettings = Field(default_factory=ReplaySettings, description="general rows mixed in")


BY_THE_TABLE = ("learning_rate", "num_train_epochs")
"""Fields of `training` whose value, where a recipe has none, is the recommended one."""
_BY_THE_TABLE: dict[str, Any] = {"default_in_words": "see the table"}


class TrainingSettings(BaseModel):
    """Arguments of TRL's trainer; further ones that Rung honours (trl_honoured.py) may stand here too."""

    model_config = ConfigDict(extra="allow", validate_default=True)

    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        2.0e-4,
        description="step size; null or left out: by method, what is trained, and the model's size, as the table says",
        json_schema_extra=_BY_THE_TABLE,
    )
    num_train_epochs: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        2.0,
        description="passes over the training rows; null or left out: by method and rows, as the table says",
        json_schema_extra=_BY_THE_TABLE,
    )
    max_steps: int = Field(-1, description="stop after so many optimizer steps; -1: by epochs")
    per_device_train_batch_size: Positive = Field(8, description="rows a device takes at once")
    gradient_accumulation_steps: Positive = Field(1, description="batches summed up before each optimizer step")
    lr_scheduler_type: str = Field("cosine", description="how the learning rate falls: cosine, linear, constant")
    warmup_ratio: Fraction = Field(0.03, description="share of the steps in which the learning rate rises")
    weight_decay: Annotated[float, Field(ge=0)] = Field(0.0, description="pull of the weights towards zero")
    max_grad_norm: Annotated[float, Field(ge=0)] = Field(1.0, description="longer gradients are cut to this norm")
    eval_steps: int | None = Field(
        None, description="optimizer steps between evaluations; null: ten over the run, fewer in a short one"
    )
    save_steps: int | None = Field(None, description="optimizer steps between checkpoints; null: as evaluations")
    save_total_limit: int | None = Field(2, description="checkpoints kept beside the best; null: all")
    early_stopping_patience: int | None = Field(
        None, description="evaluations without improvement before the run ends; null: never"
    )
    gradient_checkpointing: bool = Field(False, description="recompute activations: less memory, about 20 % slower")

    @model_validator(mode="before")
    @classmethod
    def _null_is_left_out(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: each for name, each in value.items() if each is not None or name not in BY_THE_TABLE}


class ProbeSettings(Strict):
    """The forgetting meter."""

    source: str | None = Field(
        "builtin", description="builtin, or a file of text (rows of one `document` or `title` count as one); null: none"
    )
    every_steps: int | None = Field(None, description="optimizer steps between probes; null: with each evaluation")
    limit: float | None = Field(
        None, description="tolerated growth of the probe's perplexity, 0.1 = 10 %; null: no limit"
    )
    on_limit: Literal["warn", "lower_rate", "stop"] = Field("warn", description="what happens past the limit")


class SampleSettings(Strict):
    """Pinned prompts answered while training, base beside current."""

    prompts: list[str] = Field(default_factory=list, description="user turns; empty: the first three validation rows")
    every_steps: int | None = Field(None, description="optimizer steps between samples; null: with each evaluation")
    max_new_tokens: Positive = Field(64, description="longest answer, in tokens")


# Kinds of launcher that recipes will name, and what a run would need of them.
_NOT_BUILT = {
    "torchrun": "nothing starts several processes for one run",
    "slurm": "nothing hands a run to Slurm",
}


class LauncherSettings(Strict):
    """Where the worker runs."""

    kind: Literal["local"] = Field("local", description="local: a process on this machine, on one GPU or the CPU")

    @model_validator(mode="before")
    @classmethod
    def _is_built(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("kind") in _NOT_BUILT:
            raise ValueError(
                f"kind {value['kind']} is not built yet: {_NOT_BUILT[value['kind']]}; this run would train in one "
                "local process on one GPU, so leave launcher out, or write {kind: local}"
            )
        return value


class Recipe(Strict):
    """One job, declared completely."""

    name: str | None = Field(None, description="a name of yours, shown in lists")
    tags: list[str] = Field(default_factory=list, description="words to filter runs by")
    method: Method = Field(description="sft, cpt, dpo, kto, orpo, reward, grpo, rloo, distill or constitution")
    model: ModelSettings = Field(description="the model that is adapted")
    start_from: str | None = Field(
        None, description="run:ID to go on from that run's adapter or model; run:FILE.yaml: the newest run of a recipe"
    )
    adapter: AdapterSettings | None = Field(
        default_factory=AdapterSettings, description="what is trained; null: every weight"
    )
    data: DataSettings = Field(description="examples and how they are read")
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="arguments of TRL's trainer")
    sft: dict[str, Any] = Field(default_factory=dict, description="more arguments of TRL's SFTConfig")
    cpt: dict[str, Any] = Field(default_factory=dict, description="more arguments for continued pretraining")
    dpo: dict[str, Any] = Field(default_factory=dict, description="more arguments of TRL's DPOConfig")
    kto: dict[str, Any] = Field(default_factory=dict, description="more arguments of TRL's KTOConfig")
    orpo: dict[str, Any] = Field(default_factory=dict, description="more arguments of TRL's ORPOConfig")
    reward: dict[str, Any] = Field(default_factory=dict, description="more arguments of TRL's RewardConfig")
    grpo: dict[str, Any] = Field(default_factory=dict, description="more arguments of TRL's GRPOConfig, and rewards")
    rloo: dict[str, Any] = Field(default_factory=dict, description="more arguments of TRL's RLOOConfig, and rewards")
    distill: dict[str, Any] = Field(default_factory=dict, description="teacher, filter and judge of distillation")
    constitution: dict[str, Any] = Field(
        default_factory=dict, description="principles and judge of AI feedback, and more arguments of TRL's DPOConfig"
    )
    probe: ProbeSettings = Field(default_factory=ProbeSettings, description="the forgetting meter")
    samples: SampleSettings = Field(default_factory=SampleSettings, description="pinned prompts")
    devices: Literal["auto"] | int | list[int | str] = Field(
        "auto",
        description="which GPU trains: auto (the one with the most free memory that no other run holds), or a list of "
        "one index or UUID, as nvidia-smi -L writes them: [1], [GPU-…], [MIG-…]; without a GPU the CPU",
    )
    launcher: LauncherSettings = Field(
        default_factory=lambda: LauncherSettings(kind="local"), description="where the worker runs"
    )
    worker_python: str | None = Field(
        None, description="interpreter of the worker; null: the project's, or the one Rung runs in"
    )
    report_to: list[str] = Field(default_factory=list, description="further trackers that Transformers knows")
    seed: int = Field(0, description="seed of data order, dropout and new weights")
    overrides: list[Override] = Field(
        default_factory=list,
        description="refusals of the gate that you override, by name; what is overridden is told and recorded",
    )

    @field_validator("devices", mode="before")
    @classmethod
    def _one_device(cls, value: Any) -> Any:
        if value == "auto" or (value == 1 and isinstance(value, int) and not isinstance(value, bool)):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            raise ValueError(
                f"a number says how many GPUs, and a run takes one; GPU {value} is written [{value}]"
                if value < 1
                else f"a run takes one GPU; write auto for the freest, or [{value}] for GPU {value}"
            )
        if isinstance(value, str):
            raise ValueError(f"one GPU by its index or UUID is written as a list: [{value}]; or write auto")
        if not isinstance(value, list) or not all(
            isinstance(name, (int, str)) and not isinstance(name, bool) for name in value
        ):
            raise ValueError("write auto, or a list of one index or UUID, for example [0]")
        if len(value) != 1:
            raise ValueError(
                f"a run takes one GPU, and {len(value)} are named; training on several is not built yet: name one, "
                "or write auto for the freest"
            )
        return value

    @model_validator(mode="after")
    def _blocks_belong_to_the_method(self) -> "Recipe":
        if self.adapter is None and self.model.quantization != "none":
            raise ValueError(
                f"model.quantization: {self.model.quantization} can't be trained in full; "
                "set an adapter, or quantization: none"
            )
        return self

    @model_validator(mode="after")
    def _fill_in_what_depends_on_the_method(self) -> "Recipe":
        training, given = self.training, set(self.training.model_fields_set)
        if "learning_rate" not in given:
            training.learning_rate = learning_rate(self.method, self.adapter is None)
        if "num_train_epochs" not in given:
            training.num_train_epochs = epochs(self.method)
        # Filled in is not given: what knows the model's size and the number of rows may still say better.
        training.model_fields_set.intersection_update(given)
        return self

    def method_block(self) -> dict[str, Any]:
        """The method's own block."""
        block: dict[str, Any] = getattr(self, self.method)
        return block
