"""Models and tokenizers: what a recipe's name means, and loading them with messages a person can act on.

Imports the training stack inside its functions; only workers call those.
"""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung.engine.core.errors import EngineError
from rung.engine.core.files import is_folder, is_path
from rung.engine.hub.cache import cached_model, has_tokenizer
from rung.engine.jobs.program import RECIPES
from rung.engine.recipe.schema import ModelSettings

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

POCKET_FOLDER = RECIPES / "pocket" / "model"
TEMPLATE_FOLDER = Path(__file__).with_name("templates")
_WEIGHT_PATTERNS = ("*.safetensors", "*.safetensors.index.json")
_HINT_FOLDER = "a model folder holds config.json, *.safetensors and the tokenizer's files"


def model_source(name: str, root: Path) -> str:
    """What Transformers loads for a recipe's `model.name`: a folder's path, or a hub id.

    Raises EngineError for a folder that is missing or incomplete.
    """
    if name == "pocket":
        return str(_checked_folder(POCKET_FOLDER))
    folder = (root / Path(name).expanduser()).resolve()
    if is_folder(folder):
        return str(_checked_folder(folder))
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise EngineError(
            f"There is no model folder {folder}", f"model.name: {name}", "give a folder, a hub id, or pocket"
        )
    return name


def is_local(name: str, root: Path) -> bool:
    """Whether the model lies in a folder of the user's, not at the hub."""
    return is_folder(model_source(name, root))


def model_folder(name: str, root: Path, revision: str | None = None) -> Path | None:
    """Where a model's files lie: its folder, or for a hub id the cache's; None until that is downloaded whole."""
    source = model_source(name, root)
    return Path(source) if is_folder(source) else cached_model(source, revision)


def model_config(name: str, root: Path, revision: str | None = None) -> dict[str, Any]:
    """A model's config.json as plain values, without the training stack; {} for a hub id that is not in the cache."""
    folder = model_folder(name, root, revision)
    if folder is None:
        return {}
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return config


def pick_device() -> str:
    """cuda where torch sees one, else cpu."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def free_memory() -> None:
    """Give back what a model held that nothing refers to any more, on the GPU too."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def load_tokenizer(model: ModelSettings, root: Path) -> "PreTrainedTokenizerBase":
    """The model's tokenizer with the recipe's chat template and a padding token set."""
    from transformers import AutoTokenizer

    source = model_source(model.name, root)
    if Path(source).is_dir() and not has_tokenizer(Path(source)):
        raise EngineError(f"{source} has no tokenizer", "there is no tokenizer.json or tokenizer.model", _HINT_FOLDER)
    folder = model_folder(model.name, root, model.revision)
    in_folder = folder is not None and has_tokenizer(folder)
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder if in_folder else source,
            revision=None if in_folder else model.revision,
            trust_remote_code=model.trust_remote_code,
        )
    except (OSError, ValueError, KeyError) as error:
        raise _loading_error("tokenizer", source, model.revision, error) from error
    if model.chat_template is not None:
        tokenizer.chat_template = read_template(model.chat_template, root)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    return tokenizer


def generation_stop_ids(model: ModelSettings, root: Path) -> list[int]:
    """The ids at which the model's own generation_config.json stops: some end a turn with another token than a text."""
    from transformers import GenerationConfig

    # From the cache's folder where it lies there: by its id, the hub would be asked for the revision each time.
    folder = model_folder(model.name, root, model.revision)
    source, revision = (model_source(model.name, root), model.revision) if folder is None else (folder, None)
    try:
        config = GenerationConfig.from_pretrained(source, revision=revision)
    except OSError:
        return []  # The model brings none.
    ids = config.eos_token_id
    return [] if ids is None else [ids] if isinstance(ids, int) else list(ids)


def read_template(name: str, root: Path) -> str:
    """The text of a chat template: a built-in's by name, or a file's."""
    builtin = TEMPLATE_FOLDER / f"{name}.jinja"
    path = builtin if is_path(builtin) else root / name
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):  # ValueError: a null character in the name
        known = ", ".join(sorted(file.stem for file in TEMPLATE_FOLDER.glob("*.jinja")))
        raise EngineError(
            f"There is no chat template {name}", f"model.chat_template: {name}", f"a file, or a built-in: {known}"
        ) from None


def load_model(model: ModelSettings, root: Path, device: str) -> "PreTrainedModel":
    """The causal language model on `device`, in evaluation mode; safetensors only.

    With `quantization`, weights are quantised while they load, so the full ones never lie in memory beside them.
    """
    from transformers import AutoModelForCausalLM

    return _load(AutoModelForCausalLM, model, root, device)


def load_scorer(model: ModelSettings, root: Path, device: str) -> "PreTrainedModel":
    """The model with a head that gives one score a text: a new head, or the one it was saved with."""
    from transformers import AutoModelForSequenceClassification

    return _load(AutoModelForSequenceClassification, model, root, device, num_labels=1)


def _load(kind: Any, model: ModelSettings, root: Path, device: str, **head: Any) -> "PreTrainedModel":
    source = model_source(model.name, root)
    folder = source if Path(source).is_dir() else _downloaded(source, model)
    options: dict[str, Any] = {
        **head,
        "trust_remote_code": model.trust_remote_code,
        "use_safetensors": True,
        "dtype": resolve_dtype(model, device),
    }
    if model.attention != "auto":
        options["attn_implementation"] = model.attention
    if model.quantization != "none":
        options["quantization_config"] = _quantization(model, device)
        options["device_map"] = {"": device}
    try:
        loaded: PreTrainedModel = kind.from_pretrained(folder, **options)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise _loading_error("model", source, model.revision, error) from error
    if model.quantization == "none":
        loaded.to(device)
    else:
        _let_the_file_go(loaded)
    _keep_weights_as_packed(loaded)
    return loaded.eval()


def _downloaded(source: str, model: ModelSettings) -> Path:
    from rung.engine.hub.download import ensure_model

    return ensure_model(source, model.revision, code=model.trust_remote_code)


def _let_the_file_go(model: "PreTrainedModel") -> None:
    """Copy what was not quantised: as views of the mapped file, these few weights would keep all of it in memory."""
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.clone()


def _keep_weights_as_packed(model: "PreTrainedModel") -> None:
    """On some CPUs bitsandbytes packs 4-bit weights anew, and coarser, at the first evaluation.

    Training would go on from other weights than it began with, from others again after a resume, and the base beside
    an adapter would not be the base by itself.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def resolve_dtype(model: ModelSettings, device: str) -> "torch.dtype":
    """The weights' type: `auto` is bfloat16 on a GPU that computes it, float32 on the CPU."""
    import torch

    if model.dtype != "auto":
        dtype: torch.dtype = getattr(torch, model.dtype)
        return dtype
    return torch.bfloat16 if device != "cpu" and torch.cuda.is_bf16_supported() else torch.float32


def held_in_training(model: ModelSettings, in_full: bool) -> ModelSettings:
    """The settings to load a model with for training. Where every weight is trained, `auto` is float32.

    An update at a usual learning rate is smaller than half a step of bfloat16, so that nearly no weight would move;
    what the layers compute is autocast to bfloat16 all the same.
    """
    return model.model_copy(update={"dtype": "float32"}) if in_full and model.dtype == "auto" else model


def context_length(config: Any) -> int | None:
    """Positions the model was made for, from its configuration; None when it doesn't say."""
    for name in ("max_position_embeddings", "n_positions", "max_sequence_length"):
        value = getattr(config, name, None)
        if isinstance(value, int) and value > 0:
            return value
    return None


def _quantization(model: ModelSettings, device: str) -> Any:
    import torch
    from transformers import BitsAndBytesConfig

    compute = resolve_dtype(model, device)
    if model.quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute if compute != torch.float16 else torch.float16,
    )


def _checked_folder(folder: Path) -> Path:
    if not (folder / "config.json").exists():
        raise EngineError(f"{folder} is not a model folder", "config.json is missing", _HINT_FOLDER)
    if not any(any(folder.glob(pattern)) for pattern in _WEIGHT_PATTERNS):
        unsafe = sorted(file.name for file in folder.glob("*.bin"))
        details = f"only {', '.join(unsafe)}, which are pickles and are not loaded" if unsafe else "no *.safetensors"
        raise EngineError(f"{folder} has no weights", details, "weights are read from safetensors files only")
    return folder


def _loading_error(what: str, source: str, revision: str | None, error: Exception) -> EngineError:
    if not Path(source).is_dir() and (told := _told_by_hub(error, source, revision)) is not None:
        return told
    fetch = f"rung fetch {shlex.quote(source)} brings it, or says what is in the way"
    lines = [line for line in str(error).splitlines() if line.strip()]
    return EngineError(
        f"The {what} {source} can't be loaded",
        "\n".join(lines[:4]) or type(error).__name__,
        _HINT_FOLDER if Path(source).is_dir() else fetch,
    )


def _told_by_hub(error: BaseException | None, source: str, revision: str | None) -> EngineError | None:
    """What the hub said, where that is behind the error: gated, not there, no such revision, not reached."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    from rung.engine.hub.faults import explained, not_reached

    while error is not None:
        if isinstance(error, LocalEntryNotFoundError):
            return not_reached(source, revision)
        if isinstance(error, HfHubHTTPError):
            return explained(error, source, revision)
        error = error.__cause__ or error.__context__
    return None
