"""Liveness by a lock: a worker holds it for as long as it lives, and the kernel lets it go when the worker dies.

POSIX record locks (`lockf`), because a `flock` lives on in forked data loaders after a SIGKILL. They are lost when any
descriptor of the holder on that file is closed, so a holder opens the file once and never again.
"""

import errno
import fcntl
import os
import time
from pathlib import Path


class HeldLock:
    """An exclusive lock held by this process until `release` or death."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def keep_over_exec(self) -> None:
        """Hold the lock on in the program that this process becomes next; it locks the file again, as its own."""
        os.set_inheritable(self._descriptor, True)

    def release(self) -> None:
        """Let the lock go."""
        os.close(self._descriptor)


def try_lock(path: Path) -> HeldLock | None:
    """The lock on `path`, or None when another process holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return None
        raise
    return HeldLock(descriptor)


def lock_within(path: Path, seconds: float) -> HeldLock | None:
    """The lock on `path`, waiting up to `seconds`: a reader's test of the lock holds it for an instant."""
    deadline = time.monotonic() + seconds
    while True:
        held = try_lock(path)
        if held is not None or time.monotonic() >= deadline:
            return held
        time.sleep(0.02)


def is_locked(path: Path) -> bool:
    """Whether some other process holds the lock. Never call it from the process that holds it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return True
        raise
    finally:
        os.close(descriptor)
    return False
