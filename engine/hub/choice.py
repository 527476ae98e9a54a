"""Which files of a repository are wanted: configuration, tokenizer, card, and one set of safetensors weights."""

import re
from collections.abc import Iterable

from rung.engine.core.errors import EngineError

_BESIDE_WEIGHTS = re.compile(
    r"[^/]+\.(json|jinja|txt|tiktoken|spm|model|model\.v\d+)|README\.md|LICEN[CS]E[^/]*|"
    r"1_Pooling/config\.json|additional_chat_templates/[^/]+\.jinja"
)
_OTHER_WEIGHTS = re.compile(r"[^/]+\.(bin|msgpack|h5|onnx)\.index\.json")
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
_PICKLES = re.compile(r"[^/]+\.(bin|pt|pth|ckpt|pkl)")


def wanted_files(name: str, files: Iterable[str], *, code: bool = False) -> list[str]:
    """The wanted files of the model `name`, those beside the weights first; Python files only with `code`.

    Of several sets of weights Transformers' own is taken: model.safetensors, else its shards, else what safetensors
    there are at the top; nothing below folders, where repositories keep other formats. Raises EngineError where there
    are none.
    """
    there = sorted(files)
    weights = _weights(there)
    if not weights:
        pickles = [file for file in there if _PICKLES.fullmatch(file)]
        raise EngineError(
            f"{name} has no weights in safetensors",
            f"only {', '.join(pickles[:4])}, which are pickles and are not loaded" if pickles else "no *.safetensors",
            "choose a model that is published as safetensors, or convert this one where you trust it",
        )
    beside = [
        file
        for file in there
        if (_BESIDE_WEIGHTS.fullmatch(file) or (code and file.endswith(".py"))) and not _OTHER_WEIGHTS.fullmatch(file)
    ]
    return beside + weights


def _weights(files: list[str]) -> list[str]:
    at_top = [file for file in files if file.endswith(".safetensors") and "/" not in file]
    if "model.safetensors" in at_top:
        return ["model.safetensors"]
    return [file for file in at_top if _SHARD.fullmatch(file)] or at_top
