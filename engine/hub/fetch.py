"""Downloads of hub models as jobs: started, found again, asked to stop, by any front.

A job's folder is laid out as a run's (events.jsonl, worker.log, lock, requests), so it is followed and stopped in the
same way and outlives whoever started it; it lies in the user's state folder, since the hub's cache is nobody project's.
"""

from dataclasses import dataclass
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.core.files import read_json, sha256_text, write_json_atomic
from rung.engine.core.state_folder import state_folder
from rung.engine.hub.cache import bytes_begun, cache_folder, cached_model, checked_name
from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.lock import is_locked
from rung.engine.jobs.requests import drop_requests
from rung.engine.jobs.spawn import spawn_worker

JOB_FILE = "job.json"
RESULT_FILE = "result.json"


@dataclass(frozen=True)
class Download:
    """How a hub model stands here: `whole`, `going` on in some process's job, and the bytes that have come of it."""

    name: str
    revision: str | None
    whole: bool
    going: bool
    begun: int


def download_of(name: str, revision: str | None) -> Download:
    """How the model stands, from the cache's files and the job's lock."""
    going = is_locked(fetch_folder(name, revision).lock)
    return Download(name, revision, cached_model(name, revision) is not None, going, bytes_begun(name))


def fetch_folder(name: str, revision: str | None) -> RunFolder:
    """Where the job of this model's download lies: one for each model, revision and cache."""
    mark = sha256_text(f"{cache_folder()}\n{revision or 'main'}")[:8]
    return RunFolder(state_folder() / "fetch" / f"{checked_name(name).replace('/', '--')}-{mark}")


def start_fetch(name: str, revision: str | None = None, python: str | None = None, *, code: bool = False) -> RunFolder:
    """Begin a download, or go on with one; one that is going on is given as it is. With `code` Python files come too.

    `python` is the interpreter of the worker, which needs huggingface_hub. Blocks for a moment: call it from a
    background thread. Raises EngineError.
    """
    folder = fetch_folder(name, revision)
    if is_locked(folder.lock):
        return folder
    try:
        folder.requests.mkdir(parents=True, exist_ok=True)
        drop_requests(folder)
        write_json_atomic(folder.path / JOB_FILE, {"model": name, "revision": revision, "code": code})
    except OSError as error:
        raise EngineError(f"The download can't be started in {folder.path}", str(error)) from error
    spawn_worker("fetch", folder, "The download", folder.path, python)
    return folder


def fetch_result(folder: RunFolder) -> dict[str, Any] | None:
    """What a download that is finished brought: model, revision, commit, path, files, bytes, received."""
    path = folder.path / RESULT_FILE
    result: dict[str, Any] | None = read_json(path) if path.exists() else None
    return result
