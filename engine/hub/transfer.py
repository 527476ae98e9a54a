"""One large file over HTTP into the cache: gone on with where it was broken off, and hashed while it comes.

huggingface_hub keeps no part of a file that was broken off (its partial files have names of their own in each process,
and are deleted), and a model's weights are one to hundreds of gigabytes; so the streaming is done here, over its
client, with its login. Used only inside a worker.
"""

import hashlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from rung.engine.core.errors import EngineError
from rung.engine.hub.cache import PARTIAL

PATIENCE_SECONDS = (0.0, 1.0, 4.0, 10.0, 30.0, 60.0, 120.0)
"""Waits before each new try in a row that brings nothing; one that brings something starts them anew."""
_PASSING = (408, 429, 500, 502, 503, 504)


class BrokenOff(Exception):
    """The download was asked to end. What has come stays, and is gone on with."""


class Interruption:
    """Ends all transfers that look at it, at once: also those that wait for bytes which don't come."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._guard = threading.Lock()
        self._lines: set[socket.socket] = set()

    def ask(self) -> None:
        """End them."""
        with self._guard:
            self._asked.set()
            for line in self._lines:
                with suppress(OSError):  # The other side may have hung up before.
                    # The plain socket's shutdown also where there is TLS on top: it only has to wake the reader.
                    socket.socket.shutdown(line, socket.SHUT_RDWR)

    def check(self) -> None:
        """Raise BrokenOff where it was asked for."""
        if self._asked.is_set():
            raise BrokenOff

    def wait(self, seconds: float) -> None:
        """Wait, unless it is asked for: then raise BrokenOff."""
        self._asked.wait(seconds)
        self.check()

    @contextmanager
    def over(self, response: Any) -> Iterator[None]:
        """While an open response is read."""
        line = response.extensions["network_stream"].get_extra_info("socket")
        with self._guard:
            self._lines.add(line)
        try:
            self.check()
            yield
        finally:
            with self._guard:
                self._lines.discard(line)


@dataclass(frozen=True)
class Blob:
    """One file of a repository by its content: where it comes from, its sha256, and where it is kept."""

    url: str
    size: int
    sha256: str
    path: Path

    @property
    def partial(self) -> Path:
        """What has come of it so far."""
        return self.path.with_name(self.path.name + PARTIAL)

    @property
    def bytes_here(self) -> int:
        """Bytes that need not come any more."""
        if self.path.exists():
            return self.size
        return min(self.size, self.partial.stat().st_size) if self.partial.exists() else 0


def bring(blob: Blob, tell: Callable[[int], None], interruption: Interruption) -> None:
    """Bring the file to its place, whole and with the hash it must have, or not at all; `tell` gets the bytes so far.

    Raises BrokenOff once it is asked to, EngineError for what comes damaged, and the client's own errors.
    """
    blob.path.parent.mkdir(parents=True, exist_ok=True)
    # A partial file that a power cut has damaged is found out at the end, and then brought once more.
    for _ in range(2):
        with blob.partial.open("a+b") as stream:
            part = _Part(stream)
            _fill(part, blob, tell, interruption)
            os.fsync(stream.fileno())
        if part.sha256 == blob.sha256:
            os.replace(blob.partial, blob.path)
            return
        blob.partial.unlink()
    raise EngineError(
        f"{blob.path.name[:12]} came damaged twice", f"its sha256 is not {blob.sha256}", "is there a proxy on the way?"
    )


class _Part:
    """The bytes that are here, and their hash."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        stream.seek(0)
        self._digest = hashlib.sha256()
        while piece := stream.read(8 << 20):
            self._digest.update(piece)
        self.size = stream.tell()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def add(self, piece: bytes) -> None:
        self._stream.write(piece)
        self._digest.update(piece)
        self.size += len(piece)

    def begin_anew(self) -> None:
        self._stream.truncate(0)
        self._digest, self.size = hashlib.sha256(), 0


def _fill(part: _Part, blob: Blob, tell: Callable[[int], None], interruption: Interruption) -> None:
    if part.size > blob.size:
        part.begin_anew()
    tell(part.size)
    tries = 0
    while part.size < blob.size:
        before = part.size
        error = _receive(part, blob, tell, interruption)
        tries = 0 if part.size > before else tries + 1
        if tries == len(PATIENCE_SECONDS):
            raise error or _ended_early(blob, part.size)
        interruption.wait(PATIENCE_SECONDS[tries])


def _receive(part: _Part, blob: Blob, tell: Callable[[int], None], interruption: Interruption) -> Exception | None:
    """Append what one request brings; gives the error that broke it off where another try may help."""
    from huggingface_hub import constants, get_session
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

    # The repository's own address each time: the signed one that it leads to is good for an hour only.
    headers = build_hf_headers() | {"Accept-Encoding": "identity"}
    if part.size:
        headers["Range"] = f"bytes={part.size}-"
    try:
        with get_session().stream(
            "GET", blob.url, headers=headers, follow_redirects=True, timeout=float(constants.HF_HUB_DOWNLOAD_TIMEOUT)
        ) as response:
            if response.status_code in _PASSING:
                return EngineError("The hub is busy", f"it answered {response.status_code}", "rung fetch goes on later")
            hf_raise_for_status(response)
            if part.size and response.status_code != 206:
                part.begin_anew()
            with interruption.over(response):
                for piece in response.iter_bytes():
                    interruption.check()
                    part.add(piece[: blob.size - part.size])
                    tell(part.size)
    except _transport_error() as error:
        return error
    return None


def _transport_error() -> type[Exception]:
    """What the client of this huggingface_hub raises when a line breaks: it is built on httpx, or on httpx2."""
    from huggingface_hub.errors import HfHubHTTPError

    library = next(base.__module__.partition(".")[0] for base in HfHubHTTPError.__mro__ if base.__name__ == "HTTPError")
    error: type[Exception] = import_module(library).TransportError
    return error


def _ended_early(blob: Blob, size: int) -> EngineError:
    return EngineError(
        "The connection ends before the file does", f"{size:,} of {blob.size:,} bytes are here", "rung fetch goes on"
    )
