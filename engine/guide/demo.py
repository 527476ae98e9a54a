"""The demo projects: data that recipes/demos writes, with the settings that go with them."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json_lines, write_json_lines_atomic
from rung.engine.guide.new import chosen_model
from rung.engine.guide.staging import refuse_if_filled, whole_or_not_at_all
from rung.engine.models.model_facts import ModelFacts
from rung.engine.project.load import load_project, save_project
from rung.engine.project.root import is_project
from rung.engine.project.schema import (
    DecodingSettings,
    ProjectData,
    ProjectSettings,
    PromptTrials,
    RagPromptSettings,
    RetrievalTrials,
    Situation,
    TuneSettings,
)
from rung.engine.recipe.schema import DataSettings, Method, ModelSettings
from rung.engine.retrieval.settings import RetrievalSettings
from rung.engine.splits.make import freeze_files
from rung.engine.training.recommended_recipe import Recommended, recommended_recipe, write_recipe

if TYPE_CHECKING:
    from rung.recipes.demos.spec import DemoSpec

DEMOS = ("facts", "format", "preference")
TUNE_FILE = "data/tune.jsonl"
PAST_FILE = "documents/past.jsonl"
DPO_RECIPE, REWARD_RECIPE, GRPO_RECIPE = "recipes/dpo.yaml", "recipes/reward.yaml", "recipes/grpo.yaml"
# The pocket model reads short passages: one a document, and few of them.
_CHUNK_SIZE = 400
_FRAME = "{chunks}\n\nQuestion: {question}"
_CHUNK = "[{number}] {text}"


def make_demo(kind: str, directory: Path, model: str = "pocket", seed: int = 0) -> Path:
    """Write the demo project `kind` into `directory` and give its folder; one that is there already is left as it is.

    `model` is pocket, a hub id or a folder. Raises EngineError for an unknown kind or a folder with other things in it.
    """
    root = directory.expanduser().resolve()
    if is_project(root) and load_project(root).name == kind:
        return root
    refuse_if_filled(root)
    settings, facts, _notes = chosen_model(model, root)
    with whole_or_not_at_all(root) as staging:
        spec = _writer(kind)(staging, seed)
        documents = _documents(staging, spec)
        train = _rows_to_tune_on(staging, spec)
        tune = TuneSettings()
        if spec.kind == "preference":
            tune = TuneSettings(recipe=DPO_RECIPE, also=[REWARD_RECIPE, GRPO_RECIPE])
        save_project(
            staging,
            ProjectSettings(
                name=spec.name,
                situation=Situation(wants=[spec.kind], task=spec.task),
                model=settings,
                data=ProjectData(train=spec.train, validation=spec.validation, test=spec.test, gold=spec.gold),
                documents=RetrievalSettings(path=documents, chunk_size=_CHUNK_SIZE, k=3) if documents else None,
                metrics=[spec.metric],
                target=spec.target,
                decoding=DecodingSettings(max_new_tokens=spec.max_new_tokens),
                system_prompt=spec.system_prompt or None,
                rag_prompt=RagPromptSettings(frame=_FRAME, chunk=_CHUNK),
                prompt_trials=PromptTrials(system_prompts=list(spec.prompts)),
                retrieval_trials=RetrievalTrials(chunk_sizes=[_CHUNK_SIZE], k=[1, 3]),
                tune=tune,
            ),
        )
        freeze_files(staging, {"train": spec.train, "validation": spec.validation, "test": spec.test})
        rows = DataSettings(train=train, validation=spec.validation, max_length=512)
        num_rows = len(read_json_lines(staging / train))
        first: Method = "dpo" if spec.kind == "preference" else "sft"
        made = recommended_recipe(settings, facts, rows, num_rows, first)
        if spec.own_prompts is not None:
            # Few looks at the validation rows: three trainings are to be over in three minutes.
            made = _trained_with(made, eval_steps=10)
            reward = recommended_recipe(settings, facts, rows, num_rows, "reward")
            write_recipe(staging, _trained_with(reward, num_train_epochs=3.0, eval_steps=38), REWARD_RECIPE)
            own = DataSettings(train=spec.own_prompts, max_length=512)
            write_recipe(staging, _against_the_reward_model(settings, facts, own), GRPO_RECIPE)
        write_recipe(staging, made, tune.recipe)
    return root


def _against_the_reward_model(settings: ModelSettings, facts: ModelFacts, prompts: DataSettings) -> Recommended:
    """GRPO on the prompts, judged by the reward model that the project's other recipe trains."""
    made = recommended_recipe(settings, facts, prompts, method="grpo")
    block = {"rewards": [{"name": "model", "run": REWARD_RECIPE}], "max_completion_length": 64}
    made = replace(made, recipe=made.recipe.model_copy(update={"grpo": block}))
    return _trained_with(made, max_steps=16, per_device_train_batch_size=32, learning_rate=1e-3, eval_steps=8)


def _trained_with(made: Recommended, **training: Any) -> Recommended:
    changed = made.recipe.training.model_copy(update=training)
    return replace(made, recipe=made.recipe.model_copy(update={"training": changed}))


def _writer(kind: str) -> "Callable[[Path, int], DemoSpec]":
    from rung.recipes.demos import facts, format, preference

    writers: dict[str, Callable[[Path, int], DemoSpec]] = {
        "facts": facts.write, "format": format.write, "preference": preference.write,
    }  # fmt: skip
    if kind not in writers:
        raise EngineError(f"There is no demo {kind!r}", hint=f"rung demo {' | '.join(DEMOS)}")
    return writers[kind]


def _documents(staging: Path, spec: "DemoSpec") -> str | None:
    """The folder of documents. Where a task has none of its own, its training rows are what one could look up."""
    if spec.documents is not None or spec.kind == "preference":
        return spec.documents
    rows = read_json_lines(staging / spec.train)
    past = [{"text": "\n".join(turn["content"] for turn in row["messages"])} for row in rows]
    write_json_lines_atomic(staging / PAST_FILE, past)
    return str(Path(PAST_FILE).parent)


def _rows_to_tune_on(staging: Path, spec: "DemoSpec") -> str:
    """The file to train on. Where there are documents, their text is learned too: tuning gets what retrieval gets."""
    if spec.documents is None:
        return spec.train
    rows = [{"messages": row["messages"]} for row in read_json_lines(staging / spec.train)]
    rows += _questions_for_whole_documents(sorted((staging / spec.documents).glob("*.md")))
    write_json_lines_atomic(staging / TUNE_FILE, rows)
    return TUNE_FILE


def _questions_for_whole_documents(files: Iterable[Path]) -> list[dict[str, Any]]:
    rows = []
    for file in files:
        title, _, text = file.read_text(encoding="utf-8").partition("\n")
        asked = f"Tell me about {title.lstrip('# ')}."
        turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": text.strip()}]
        rows.append({"messages": turns})
    return rows
