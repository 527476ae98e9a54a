"""What the hub or the line to it said, in words that a person can act on. Used only inside a worker."""

import errno
import re
import shlex

from rung.engine.core.errors import EngineError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_QUERY = re.compile(r"\?[^\s'\"]+")


def explained(error: Exception, name: str, revision: str | None) -> EngineError:
    """The error that stands for one of huggingface_hub's, of its client's or of the disk's."""
    from huggingface_hub import constants, get_token
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    page = f"{constants.ENDPOINT}/{name}"
    said = _plain(error)
    if isinstance(error, GatedRepoError):
        return _gated(name, page, said, logged_in=get_token() is not None)
    if "Invalid credentials in Authorization header" in said:
        return EngineError(
            "The hub doesn't know this login any more", said, "log in again: hf auth login, or set HF_TOKEN anew"
        )
    if isinstance(error, RepositoryNotFoundError):
        private = "" if get_token() else "; a private one needs a login: hf auth login, or HF_TOKEN"
        return EngineError(f"The hub shows no model {name}", f"{page}: {said}", f"is the name right?{private}")
    if isinstance(error, RevisionNotFoundError):
        return EngineError(
            f"{name} has no revision {revision}", f"{page}/tree/{revision}", "a branch, a tag or a commit; none: main"
        )
    if isinstance(error, OSError) and error.errno in _FULL:
        return EngineError("The cache's disk is full", said, "free space, or set HF_HOME to another disk; it goes on")
    if isinstance(error, PermissionError):
        return EngineError("The cache can't be written", said, "set HF_HOME to a folder that can")
    return EngineError(
        f"{name} can't be brought from {constants.ENDPOINT}",
        f"{type(error).__name__}: {said}",
        "what has come is kept; rung fetch goes on from there (a proxy: HTTPS_PROXY, a mirror: HF_ENDPOINT)",
    )


def not_reached(name: str, revision: str | None) -> EngineError:
    """The error for a model that is not in the hub's cache, where the hub can't be asked for it."""
    from huggingface_hub import constants

    at = f" --revision {shlex.quote(revision)}" if revision else ""
    why = "downloads are switched off (HF_HUB_OFFLINE)" if constants.HF_HUB_OFFLINE else "it can't be reached"
    return EngineError(
        f"{name} is not on this machine, or not whole",
        f"not in the hub's cache {constants.HF_HUB_CACHE}, and from {constants.ENDPOINT} nothing comes: {why}",
        f"rung fetch {shlex.quote(name)}{at} where there is a network, or name a model folder",
    )


def _gated(name: str, page: str, said: str, *, logged_in: bool) -> EngineError:
    if logged_in:
        hint = f"open {page} with the account of this login, accept the licence there, and wait if the authors confirm"
    else:
        hint = f"open {page}, log in and accept the licence; then, on this machine: hf auth login, or set HF_TOKEN"
    return EngineError(f"{name} is gated: its authors give it to those who accept its licence", said, hint)


def _plain(error: Exception) -> str:
    """What it says in a line or two, without the signed part of addresses, which is as good as a key."""
    said = getattr(error, "server_message", None) or str(error)
    lines = [line.strip() for line in _QUERY.sub("", said).splitlines() if line.strip()]
    return " ".join(lines[:2]) or type(error).__name__
