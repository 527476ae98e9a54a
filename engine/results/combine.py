"""LoRA adapters of one base added up by weight, as a run folder that is compared, measured and exported like others."""

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.core.files import write_json_atomic, write_text_atomic
from rung.engine.generation.free_memory import model_bytes
from rung.engine.jobs.events import Finished, to_json_line
from rung.engine.jobs.folder import RunFolder
from rung.engine.models.attach import load_adapter, register_adapters
from rung.engine.models.load import load_model, load_scorer
from rung.engine.recipe.load import dump_recipe, load_recipe
from rung.engine.recipe.schema import Recipe
from rung.engine.results.adapters import COMBINED_FILE, result_of
from rung.engine.results.exports import sum_in_words
from rung.engine.results.merge import DEVICE, refuse_without_memory, unquantised_base
from rung.engine.results.whole_folder import whole_folder
from rung.engine.training.methods import method_of

_SUM = "combined"


def combine(asked: dict[str, Any], said: Callable[[str], None]) -> dict[str, Any]:
    """Make the run folder `target` with the sum of the adapters in `parts`. Raises EngineError."""
    root, target = Path(asked["root"]), Path(asked["target"])
    runs = [RunFolder(Path(part["run"])) for part in asked["parts"]]
    weights = [float(part["weight"]) for part in asked["parts"]]
    recipe = load_recipe(runs[0].recipe)
    settings = unquantised_base(recipe, root, "auto")
    refuse_without_memory(model_bytes(settings, root, settings.dtype))
    said(f"loading the base {settings.name}")
    scores = method_of(recipe.method).task == "SEQ_CLS"
    base = load_scorer(settings, root, DEVICE) if scores else load_model(settings, root, DEVICE)
    said(f"adding up {len(runs)} adapters")
    model = _summed(base, [result_of(run) for run in runs], weights, asked)
    rank = int(model.peft_config[_SUM].r)
    words = sum_in_words([(run.id, weight) for run, weight in zip(runs, weights, strict=True)])
    with whole_folder(target) as partial:
        said("saving the adapter")
        model.save_pretrained(partial, selected_adapters=[_SUM])
        # PEFT saves an adapter that is not called default in a folder of its name.
        (partial / _SUM).rename(partial / "adapter")
        (partial / "adapter" / "README.md").unlink(missing_ok=True)
        _copy_tokenizer(result_of(runs[0]), partial / "adapter")
        (partial / "requests").mkdir()
        made = _recipe(recipe, settings.name, settings.revision, rank, asked["name"] or words)
        write_text_atomic(partial / "recipe.yaml", _heading(words, asked["how"], runs[0].id) + dump_recipe(made))
        of = [{"run": run.id, "weight": weight} for run, weight in zip(runs, weights, strict=True)]
        write_json_atomic(partial / COMBINED_FILE, {"how": asked["how"], "of": of})
        finished = Finished(0, {}, "adapter", f"{words}, combined by {asked['how']}")
        write_text_atomic(partial / "events.jsonl", to_json_line(finished, 0, time.time()))
    return {"run": target.name, "path": str(target), "kind": "adapter", "rank": rank, "how": asked["how"], "of": of}


def _summed(base: Any, adapters: Sequence[Path], weights: list[float], asked: dict[str, Any]) -> Any:
    """The base with all the adapters and their sum, which is called `combined`."""
    register_adapters()
    model = load_adapter(base, adapters[0])
    names = ["default"]
    for number, adapter in enumerate(adapters[1:], start=1):
        names.append(f"part_{number}")
        model.load_adapter(str(adapter), names[-1], torch_device=DEVICE)
    # PEFT puts each one's scale into its weights and gives the sum alpha = r, a scale of 1: rank-stabilised it isn't.
    model.peft_config[names[0]].use_rslora = False
    options: dict[str, Any] = {"combination_type": asked["how"]}
    if asked["how"] != "cat":
        options |= {"svd_rank": asked["rank"], "svd_full_matrices": False}
    if asked["how"] == "ties_svd":
        options["density"] = asked["density"]
    try:
        model.add_weighted_adapter(names, weights, _SUM, **options)
    except (ValueError, TypeError) as error:
        raise EngineError(
            "These adapters can't be combined", str(error), "compare them side by side instead"
        ) from error
    return model


def _copy_tokenizer(adapter: Path, target: Path) -> None:
    """What training saved beside the first adapter's weights: tokenizer and chat template."""
    for file in adapter.iterdir():
        if (
            file.is_file()
            and file.suffix in (".json", ".jinja", ".model", ".txt")
            and not (target / file.name).exists()
        ):
            shutil.copy(file, target / file.name)


def _recipe(first: Recipe, base: str, revision: str | None, rank: int, name: str) -> Recipe:
    model = first.model.model_copy(update={"name": base, "revision": revision})
    adapter = first.adapter.model_copy(update={"r": rank, "lora_alpha": rank}) if first.adapter else None
    changes = {"name": name, "tags": ["combined"], "model": model, "start_from": None, "adapter": adapter}
    return first.model_copy(update=changes)


def _heading(words: str, how: str, first: str) -> str:
    return (
        f"# Nothing was trained by this recipe. The adapter is {words}, combined by {how}.\n"
        f"# model, data and training are those of {first}; {COMBINED_FILE} names all parts.\n"
    )
