"""Models to choose from: folders and cached hub models found here, and a short dated list; with what fits in memory."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.engine.core.errors import EngineError
from rung.engine.core.files import is_folder
from rung.engine.jobs.program import RECIPES
from rung.engine.machine.allocator import worker_heap
from rung.engine.models.forecast import ModelShape, forecast_memory, shape_of_folder
from rung.engine.models.load import model_folder

if TYPE_CHECKING:
    from rung.engine.recipe.schema import ModelSettings, Recipe

LIST_FILE = RECIPES / "models.yaml"
WAYS = ("LoRA", "QLoRA", "bottleneck", "full")
_ROW_TOKENS = 512


@dataclass(frozen=True)
class Room:
    """Memory for a job: free bytes, on which device, and the type that weights have there."""

    free: int
    device: str
    dtype: str


@dataclass(frozen=True)
class ModelChoice:
    """One model. `origin`: ships with Rung, folder, hub cache, hub, or list. `needs` is bytes by way of training."""

    name: str
    origin: str
    parameters: int | None = None
    context: int | None = None
    licence: str = ""
    note: str = ""
    needs: Mapping[str, int] = field(default_factory=dict)

    def fits(self, room: Room) -> dict[str, bool]:
        """Whether each way of training fits in the free memory."""
        return {way: needed <= room.free for way, needed in self.needs.items()}


def model_choices(root: Path, room: Room) -> list[ModelChoice]:
    """Every model at hand, then the list's. Reads configurations and headers only; downloads nothing."""
    from rung.engine.guide.doctor import model_cache

    cache = model_cache()
    folders = [folder.parent for folder in sorted({*root.glob("*/config.json"), *root.glob("models/*/config.json")})]
    found = [describe_model("pocket", root, room, "ships with Rung")]
    found += [described for folder in folders if (described := _folder(folder, root, room)) is not None]
    found += [_cached(name, root, room) for name in cache.models]
    known = {choice.name for choice in found}
    return found + [choice for choice in listed_models(room)[1] if choice.name not in known]


def describe_model(
    name: str, root: Path, room: Room, origin: str = "folder", revision: str | None = None
) -> ModelChoice:
    """What the model's files say, or the list of one that is not downloaded. Raises EngineError for a bad folder."""
    from rung.engine.models.model_facts import model_facts

    facts = model_facts(name, root, revision)
    folder = model_folder(name, root, revision)
    if folder is None:
        listed = {choice.name: choice for choice in listed_models(room)[1]}
        unknown = ModelChoice(name, "hub", note="its size and what fits are known once it is fetched")
        return replace(listed.get(name, unknown), origin="hub")
    shape = shape_of_folder(folder)
    return ModelChoice(
        name, origin, shape.parameters, facts.context, _licence(folder), needs=memory_needs(shape, room)
    )  # fmt: skip


def listed_models(room: Room) -> tuple[str, list[ModelChoice]]:
    """The date of recipes/models.yaml, and its models."""
    import yaml

    value: dict[str, Any] = yaml.safe_load(LIST_FILE.read_text(encoding="utf-8"))
    listed = [
        ModelChoice(
            str(entry["name"]), "list", int(entry["parameters"]), int(entry["context"]), str(entry["licence"]),
            str(entry.get("note", "")), memory_needs(shape_from(entry), room),
        )
        for entry in value["models"]
    ]  # fmt: skip
    return str(value["date"]), listed


def shape_from(entry: Mapping[str, Any]) -> ModelShape:
    """The shape of a decoder with gated feed-forward layers, from the figures of its config.json.

    Its layers are named as Llama's and Qwen's checkpoints name them: which of them an adapter takes goes by name.
    """
    hidden, inner, layers = (int(entry[name]) for name in ("hidden_size", "intermediate_size", "layers"))
    head = int(entry.get("head_dim") or hidden // int(entry["heads"]))
    queries, keys = int(entry["heads"]) * head, int(entry["kv_heads"]) * head
    one = (
        ("self_attn.q_proj", hidden, queries), ("self_attn.k_proj", hidden, keys), ("self_attn.v_proj", hidden, keys),
        ("self_attn.o_proj", queries, hidden),
        ("mlp.gate_proj", hidden, inner), ("mlp.up_proj", hidden, inner), ("mlp.down_proj", inner, hidden),
    )  # fmt: skip
    linear = tuple(
        (f"model.layers.{layer}.{name}.weight", inputs, outputs)
        for layer in range(layers)
        for name, inputs, outputs in one
    )
    embeddings = int(entry["vocab_size"]) * hidden * (1 if entry.get("tied") else 2)
    weights = sum(inputs * outputs for _, inputs, outputs in linear) + embeddings + (2 * layers + 1) * hidden
    return ModelShape(weights, linear, hidden, inner, layers, keys, int(entry["vocab_size"]))


def memory_needs(shape: ModelShape, room: Room) -> dict[str, int]:
    """Forecast bytes of each way of training: rows of 512 tokens, one at a time, activations recomputed.

    The least that a way can take: larger batches and longer rows take more, as the check before a launch says.
    A way that has no place in this model, such as a bottleneck behind layers of unknown names, is left out.
    """
    needs, heap = {}, worker_heap()
    for way, recipe in _recipes():
        try:
            needs[way] = sum(
                forecast_memory(shape, recipe, _ROW_TOKENS, room.dtype, room.device != "CPU", heap).values()
            )
        except EngineError:
            continue
    return needs


def room_here() -> Room:
    """The GPU that a job would take now, or without one the machine's memory."""
    from rung.engine.jobs.slots import freest_gpu
    from rung.engine.machine.memory import machine_memory

    gpu = freest_gpu()
    if gpu is not None and gpu.free is not None:
        return Room(gpu.free, gpu.name, "bfloat16")
    memory = machine_memory()
    return Room(memory.total - memory.used, "CPU", "float32")


def choose_model(root: Path, name: str) -> None:
    """Make `name` the project's model, and its recipe's. Raises EngineError for a folder that is no model."""
    from rung.engine.guide.new import chosen_model
    from rung.engine.guide.wizard import change_project, change_recipe
    from rung.engine.project.follow import MAX_LENGTH
    from rung.engine.project.load import load_project
    from rung.engine.recipe.load import load_recipe

    inside = root / Path(name).expanduser()
    settings, facts, _ = chosen_model(str(inside) if name != "pocket" and is_folder(inside) else name, root)
    project = load_project(root)
    changes = _changes_of_model(project.model, settings, root)
    if (root / project.tune.recipe).exists():
        recipe = load_recipe(root / project.tune.recipe)
        of_recipe = _changes_of_model(recipe.model, settings, root)
        if facts.context is not None and MAX_LENGTH != recipe.data.max_length > facts.context:
            of_recipe["data.max_length"] = facts.context  # Chosen, and more than this model reads.
        change_recipe(root, project.tune.recipe, of_recipe)
    change_project(root, changes)


def _changes_of_model(before: "ModelSettings", chosen: "ModelSettings", root: Path) -> dict[str, Any]:
    """The fields of a model block that are another model's; how it is loaded was chosen for the machine, and stays.

    A template that was named is kept; one that only filled the earlier model's lack goes with that model.
    """
    from rung.engine.project.follow import facts_or_none

    if before.name == chosen.name:
        return {}
    lacked = facts_or_none(before.name, root, before.revision).has_chat_template is False
    changes = {"model.name": chosen.name, "model.revision": None, "model.trust_remote_code": False}
    if before.chat_template == ("plain" if lacked else None):
        changes["model.chat_template"] = chosen.chat_template
    return changes


def _folder(folder: Path, root: Path, room: Room) -> ModelChoice | None:
    try:
        return describe_model(str(folder.relative_to(root)), root, room)
    except EngineError:
        return None  # A config.json that is not a model's, or a model without safe weights: not offered.


def _recipes() -> Iterable[tuple[str, "Recipe"]]:
    from rung.engine.recipe.schema import AdapterSettings, DataSettings, ModelSettings, Recipe, TrainingSettings

    plain, four_bit = ModelSettings(name="any"), ModelSettings(name="any", quantization="nf4")
    kinds = {
        "LoRA": (plain, AdapterSettings()),
        "QLoRA": (four_bit, AdapterSettings()),
        "bottleneck": (plain, AdapterSettings(kind="bottleneck")),
        "full": (plain, None),
    }
    for way in WAYS:
        model, adapter = kinds[way]
        training = TrainingSettings(per_device_train_batch_size=1, gradient_checkpointing=True)
        yield (
            way,
            Recipe(
                method="sft", model=model, adapter=adapter, data=DataSettings(train="rows.jsonl"), training=training
            ),
        )


def _cached(name: str, root: Path, room: Room) -> ModelChoice:
    """A model of which something lies in the cache: whole, or only begun."""
    try:
        return describe_model(name, root, room, "hub cache")
    except EngineError:
        return ModelChoice(name, "hub cache", note="its files can't be read: fetch it again")


def _licence(folder: Path) -> str:
    """The licence that the model card's heading names, where there is one."""
    card = folder / "README.md"
    if not card.exists():
        return ""
    head = card.read_text(encoding="utf-8", errors="replace")[:4000].splitlines()
    return next((line.partition(":")[2].strip() for line in head if line.startswith("license:")), "")
