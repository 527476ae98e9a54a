"""A model brought from the hub into its cache, whole: what is there already is not brought again.

Listing, login and the cache's layout are huggingface_hub's; large files come through `transfer.py`. A branch's ref is
set last, so that what it named before stays usable until the new commit is whole. Used only inside a worker.
"""

import errno
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.core.files import write_text_atomic
from rung.engine.hub.cache import bytes_begun, cache_folder, cached_model, checked_name, is_offline, repository_folder
from rung.engine.hub.choice import wanted_files
from rung.engine.hub.faults import explained
from rung.engine.hub.transfer import Blob, Interruption, bring
from rung.engine.jobs.lock import try_lock

AT_ONCE = 4
TICK_SECONDS = 0.5
SPARE_BYTES = 256 << 20
# The hub gives no file above this in one piece over plain HTTP: its own storage's client takes those.
MOST_BYTES = 50_000_000_000

_SHA256 = re.compile(r"[0-9a-f]{64}")

Tell = Callable[[int, int | None], object]
"""Called about twice a second with the bytes that are here and those of the whole (None: not known, another process
brings it); may raise to break off."""

_teller: list[Tell] = [lambda done, total: None]


@dataclass(frozen=True)
class Fetched:
    """A model that lies in the cache whole. `received` is what came over the line this time, in bytes."""

    name: str
    commit: str
    path: Path
    files: int
    bytes: int
    received: int


def fetch_model(name: str, revision: str | None, tell: Tell, *, code: bool = False) -> Fetched:
    """Bring the model as the hub has it now; only what is missing comes. Python files only with `code`.

    Raises EngineError where it can't be brought, and whatever `tell` raises.
    """
    checked_name(name)
    if is_offline():
        raise EngineError(
            f"{name} can't be brought: offline is asked for", "HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set",
            "unset it where there is a network; the cache can be copied from there",
        )  # fmt: skip
    try:
        from huggingface_hub.errors import HFValidationError
    except ImportError:
        raise EngineError(
            "This interpreter has no huggingface_hub",
            "it comes with the training stack",
            "pip install '.[train]', or set worker_python to an interpreter that has it (rung doctor)",
        ) from None
    try:
        with _alone(name, tell):
            return _fetch(name, revision, tell, code)
    except (OSError, HFValidationError, _client_error()) as error:
        raise explained(error, name, revision) from error


def ensure_model(name: str, revision: str | None, *, code: bool = False) -> Path:
    """The model's folder in the cache: as it lies there, without a question to the hub, or brought now.

    Told to whom `tell_downloads_to` named. Raises as `fetch_model`.
    """
    here = cached_model(name, revision)
    if here is not None and not (code and _lacks_code(here)):
        return here
    return fetch_model(name, revision, _teller[-1], code=code).path


def complete_model(name: str, revision: str | None = None) -> Path:
    """The model's folder in the cache with every file that is wanted of it, whoever brought some of them before.

    Asks the hub what there is. Told to whom `tell_downloads_to` named. Raises as `fetch_model`.
    """
    return fetch_model(name, revision, _teller[-1]).path


def tell_downloads_to(tell: Tell) -> None:
    """From now on tell the downloads that loading a model takes to `tell`, in this process: a worker does one job."""
    _teller[:] = [tell]


def _lacks_code(folder: Path) -> bool:
    """Whether the configuration names Python files of the model's own that were not brought."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return "auto_map" in config and not any(folder.glob("*.py"))


def _fetch(name: str, revision: str | None, tell: Tell, code: bool) -> Fetched:
    from huggingface_hub import HfApi

    info = HfApi().model_info(name, revision=revision, files_metadata=True, timeout=30.0)
    commit = str(info.sha)
    listed = {str(file.rfilename): file for file in info.siblings or []}
    files = [_File.of(name, commit, listed[wanted]) for wanted in wanted_files(name, listed, code=code)]
    snapshot = repository_folder(name) / "snapshots" / commit
    missing = [file for file in files if not (snapshot / file.path).exists()]
    total = sum(file.size for file in files)
    here = total - sum(file.size for file in missing)
    begun = here + sum(file.bytes_here for file in missing)
    refuse_without_room(name, total - begun)
    tell(begun, total)
    _bring_all(missing, lambda done: tell(here + done, total))
    ref = repository_folder(name) / "refs" / (revision or "main")
    if (revision or "main") != commit:
        write_text_atomic(ref, commit)
    return Fetched(name, commit, snapshot, len(files), total, total - begun)


@dataclass(frozen=True)
class _File:
    """One wanted file. `blob` is what is brought piece by piece; None for a small one."""

    name: str
    commit: str
    path: str
    size: int
    blob: Blob | None

    @classmethod
    def of(cls, name: str, commit: str, listed: Any) -> "_File":
        from huggingface_hub import hf_hub_url

        size = int(listed.size or 0)
        blob = None
        sha256 = str(listed.lfs.sha256) if listed.lfs is not None else ""
        # It becomes a file's name here, so that a hub can't have anything else written there.
        if _SHA256.fullmatch(sha256) and size <= MOST_BYTES:
            url = hf_hub_url(name, listed.rfilename, revision=commit)
            blob = Blob(url, size, sha256, repository_folder(name) / "blobs" / sha256)
        return cls(name, commit, str(listed.rfilename), size, blob)

    @property
    def bytes_here(self) -> int:
        return self.blob.bytes_here if self.blob is not None else 0

    def bring(self, tell: Callable[[int], None], interruption: Interruption) -> None:
        from huggingface_hub import hf_hub_download

        interruption.check()
        if self.blob is not None and not self.blob.path.exists():
            bring(self.blob, tell, interruption)
        # Finds the blob in its place and links it into the snapshot; a small file it brings by itself.
        hf_hub_download(self.name, self.path, revision=self.commit)
        tell(self.size)


def _bring_all(files: list[_File], tell: Callable[[int], object]) -> None:
    """Bring the files, several at once, the first of the list first; `tell` is called from this thread only."""
    done = {file.path: file.bytes_here for file in files}
    interruption = Interruption()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        going = {pool.submit(_bring_one, file, done, interruption) for file in files}
        try:
            while going:
                ended, going = wait(going, TICK_SECONDS, FIRST_EXCEPTION)
                tell(sum(done.values()))
                _raise_first(ended)
        finally:
            interruption.ask()


def _bring_one(file: _File, done: dict[str, int], interruption: Interruption) -> None:
    def tell(here: int) -> None:
        done[file.path] = here

    file.bring(tell, interruption)


def _raise_first(ended: set[Future[None]]) -> None:
    for future in ended:
        future.result()


@contextmanager
def _alone(name: str, tell: Tell) -> Iterator[None]:
    """One process at a time brings a model: the others wait for it, and then find what it brought.

    On a file system without locks each goes ahead: what two of them mix up has the wrong hash, and is brought anew.
    """
    lock_folder = cache_folder() / ".locks" / repository_folder(name).name
    lock_folder.mkdir(parents=True, exist_ok=True)
    try:
        while (held := try_lock(lock_folder / "rung.lock")) is None:
            tell(bytes_begun(name), None)
            time.sleep(TICK_SECONDS)
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise
        held = None
    try:
        yield
    finally:
        if held is not None:
            held.release()


def refuse_without_room(name: str, needed: int) -> None:
    """Raise EngineError where `needed` bytes more don't fit on the cache's disk."""
    cache = cache_folder()
    free = shutil.disk_usage(cache).free
    if needed and needed + SPARE_BYTES > free:
        raise EngineError(
            f"{name} doesn't fit on the cache's disk",
            f"{_gb(needed)} are to come, {_gb(free)} are free at {cache}",
            "free space, or set HF_HOME to a folder on a larger disk",
        )


def _client_error() -> type[Exception]:
    """The root of what huggingface_hub's HTTP client raises."""
    from huggingface_hub.errors import HfHubHTTPError

    error: type[Exception] = next(base for base in HfHubHTTPError.__mro__ if base.__name__ == "HTTPError")
    return error


def _gb(count: int) -> str:
    return f"{count / 1e9:.2f} GB"
