"""What a run says when it breaks: a full disk, full memory, or what the library said."""

import errno
import re
import traceback
from typing import Literal

from rung.engine.jobs.events import Failed

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# safetensors and torch write through code that is not Python's and raise errors of their own.
_FULL_TEXT = re.compile(r"No space left on device|File too large|Disk quota exceeded|PytorchStreamWriter failed")


Work = Literal["training", "evaluation", "download"]
_AFTER_FULL_DISK: dict[Work, str] = {
    "training": "free space, then resume: every checkpoint there is whole",
    "evaluation": "free space, then give the same command: answers that are on disk are not asked for again",
    "download": "free space, then give the same command: what has come is kept",
}
_AFTER_FULL_MEMORY: dict[Work, str] = {
    "training": "lower training.per_device_train_batch_size or data.max_length, or set training.gradient_checkpointing",
    "evaluation": "end what else uses the memory, or take a smaller model or model.quantization",
    "download": "end what else uses the memory",
}


def last_words(error: Exception, resumable: bool, work: Work = "training") -> Failed:
    """The `failed` event for an error that no person's message stands behind; `work` is what broke."""
    said = "".join(traceback.format_exception_only(error)).strip()
    if is_disk_full(error):
        return Failed("The disk is full", said, _AFTER_FULL_DISK[work], resumable)
    if is_out_of_memory(error):
        return Failed("The memory is full", said.splitlines()[0], _AFTER_FULL_MEMORY[work], resumable)
    if isinstance(error, OSError):
        return Failed("A file can't be read or written", said, "the end of worker.log has the whole story", resumable)
    return Failed(f"The {work} stopped on an error", said, "the end of worker.log has the whole story", resumable)


def is_disk_full(error: BaseException) -> bool:
    """Whether the error, or one behind it, says that nothing more can be written."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError) and found.errno in _FULL or _FULL_TEXT.search(str(found)):
            return True
        found = found.__cause__ or found.__context__
    return False


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the GPU's or the machine's memory ran out."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ in ("OutOfMemoryError", "AcceleratorOutOfMemoryError")
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    )
