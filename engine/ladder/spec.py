"""How a candidate answers, as this project can run it: with paths. What decides its answers is in identity.py."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field

from rung.engine.core.errors import EngineError
from rung.engine.jobs.folder import RunFolder
from rung.engine.project.schema import DecodingSettings, FewShotSettings, ProjectSettings, RagPromptSettings
from rung.engine.recipe.schema import ModelSettings, Strict
from rung.engine.retrieval.settings import RetrievalSettings

Rung = Literal["prompt", "rag", "tune"]
RUNGS: tuple[Rung, ...] = ("prompt", "rag", "tune")


class CandidateSpec(Strict):
    """One way of answering. Paths are relative to the project's folder."""

    model: ModelSettings = Field(description="the base model, or a full fine-tune; unused with an endpoint")
    endpoint: str | None = Field(None, description="name of one of rung.yaml's endpoints, which answers instead")
    adapter: str | None = Field(None, description="folder of an adapter on the base model")
    run: str | None = Field(None, description="the run that trained the adapter or the model")
    system_prompt: str | None = Field(None, description="instructions before the question; null: the row's own")
    prompt_template: str | None = Field(None, description="how the question is put; {question} stands for it")
    few_shot: FewShotSettings = Field(default_factory=FewShotSettings, description="examples in the prompt")
    retrieval: RetrievalSettings | None = Field(None, description="passages in the prompt; null: none")
    rag_prompt: RagPromptSettings = Field(default_factory=RagPromptSettings, description="how passages are put")
    gold_only: bool = Field(False, description="the right passage instead of those found: a diagnosis, not a candidate")
    decoding: DecodingSettings = Field(default_factory=DecodingSettings, description="how answers are generated")

    @property
    def rung(self) -> Rung:
        """The rung it stands on: tune when something was trained, else rag when passages are shown."""
        if self.run is not None or self.adapter is not None:
            return "tune"
        return "rag" if self.retrieval is not None else "prompt"

    @property
    def label(self) -> str:
        """A few words that tell it from the others of its rung."""
        words = [self.endpoint] if self.endpoint else []
        if self.rung == "tune":
            words.append("tuned in full" if self.adapter is None else "tuned")
            method = Path(self.run).name.split("-")[2:3] if self.run is not None else []
            if method and method != ["sft"]:
                words[-1] += f" by {method[0]}"
        if self.few_shot.k:
            words.append(f"{self.few_shot.k}-shot {self.few_shot.selection}")
        if self.retrieval is not None:
            words.append("gold passage" if self.gold_only else f"k={self.retrieval.k} · {self.retrieval.chunk_size}")
        if self.system_prompt:
            words.append(f"“{_shortened(self.system_prompt)}”")
        return ", ".join(words) or "zero-shot"


def _shortened(text: str, width: int = 28) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= width else flat[: width - 1] + "…"


def base_spec(settings: ProjectSettings) -> CandidateSpec:
    """The project's model asked plainly: no examples, no passages, the project's own instructions and decoding."""
    return CandidateSpec(
        model=settings.model,
        system_prompt=settings.system_prompt,
        prompt_template=settings.prompt_template,
        rag_prompt=settings.rag_prompt,
        decoding=settings.decoding,
    )


def declared_spec(settings: ProjectSettings) -> CandidateSpec:
    """The project's model asked as rung.yaml says, with the examples that it declares."""
    return base_spec(settings).model_copy(update={"few_shot": settings.few_shot})


def tuned_spec(spec: CandidateSpec, settings: ProjectSettings, folder: RunFolder, root: Path) -> CandidateSpec:
    """`spec` answered by what a run of the project has trained. Raises EngineError where the run left nothing."""
    artifact = folder.artifact()
    if artifact is None:
        raise EngineError(f"The run {folder.id} has no result to measure", hint="only finished runs have one")
    place = os.path.relpath(artifact, root.resolve())
    if artifact.name == "adapter":
        return spec.model_copy(update={"run": folder.id, "adapter": place})
    model = settings.model.model_copy(update={"name": place, "revision": None})
    return spec.model_copy(update={"run": folder.id, "adapter": None, "model": model})


def rungs_of(settings: ProjectSettings) -> tuple[Rung, ...]:
    """The rungs that a project has: retrieval needs documents, fine-tuning needs training rows."""
    there = {"prompt": True, "rag": settings.documents is not None, "tune": settings.data.train is not None}
    return tuple(rung for rung in RUNGS if there[rung])
