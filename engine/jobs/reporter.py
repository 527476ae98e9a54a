"""Writes a run's events: one flushed line each, by one process, under the run's lock."""

import errno
import os
import threading
import time
from pathlib import Path

from rung.engine.jobs.events import Event, to_json_line

# Freed when the disk is full, so that the last words of the run still find room.
RESERVE_BYTES = 64 * 1024


class Reporter:
    """The only writer of an events file. Create it while holding the run's lock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reserve = path.with_name(".reserve")
        self._sequence = _cut_torn_line(path) + 1
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        self._pending = b""
        # The memory sampler's thread writes too.
        self._guard = threading.Lock()
        self._make_reserve()

    def write(self, event: Event) -> None:
        """Append one event. A full disk never stops the work: lines wait in memory for room."""
        with self._guard:
            self._pending += to_json_line(event, self._sequence, time.time()).encode()
            self._sequence += 1
            self._flush()

    def free_reserve(self) -> None:
        """Give back the room kept for last words."""
        self._reserve.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file; the reserve goes too."""
        with self._guard:
            self._flush()
            os.close(self._descriptor)
            self.free_reserve()

    def _flush(self) -> None:
        size = os.fstat(self._descriptor).st_size
        try:
            written = os.write(self._descriptor, self._pending)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
                raise
            written = 0
        if written == len(self._pending):
            self._pending = b""
        elif self._reserve.exists():
            os.ftruncate(self._descriptor, size)
            self.free_reserve()
            self._flush()
        else:
            os.ftruncate(self._descriptor, size)

    def _make_reserve(self) -> None:
        try:
            self._reserve.write_bytes(b"\0" * RESERVE_BYTES)
        except OSError:
            self.free_reserve()


def _cut_torn_line(path: Path) -> int:
    """Cut a last line without newline off; give the last sequence number, -1 for a new file."""
    if not path.exists():
        return -1
    with path.open("r+b") as stream:
        content = stream.read()
        end = content.rfind(b"\n") + 1
        stream.truncate(end)
    return content.count(b"\n", 0, end) - 1
