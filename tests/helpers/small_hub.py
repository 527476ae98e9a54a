"""A small model hub on loopback: as much of the hub's HTTP API as huggingface_hub needs, and faults on request.

Large files are served by a second server, as the real hub's are by its CDN, to which the login must not travel.
"""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from rung.engine.jobs.fold import RunState
from rung.engine.jobs.folder import RunFolder
from rung.engine.jobs.reader import RunReader
from rung.tui.commands.following import follow

PIECE = 16 << 10
LARGE = (".safetensors", ".bin", ".pth")
GOOD_TOKEN, OTHER_TOKEN = "hf_good", "hf_of_somebody_else"


@dataclass
class Repository:
    """One model: its files, as of one commit, and whether a licence must be accepted first."""

    files: dict[str, bytes]
    commit: str = "1" * 40
    gated: bool = False
    branch: str = "main"

    @classmethod
    def of_folder(cls, folder: Path, **options: Any) -> "Repository":
        """The files of a model folder."""
        return cls({file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}, **options)


@dataclass
class SmallHub:
    """The two servers. `asked` lists (method, path, headers) of every request, the CDN's with a path below /cdn."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    # Bytes after which the CDN cuts the line, one entry a request, oldest first.
    cuts: list[int] = field(default_factory=list)
    # While set, the CDN sends about this many bytes of a file, and the rest once `go_on` is set.
    hold_after: int | None = None
    go_on: threading.Event = field(default_factory=threading.Event)
    ranges: bool = True
    url: str = ""
    cdn_url: str = ""

    def blobs(self) -> dict[str, bytes]:
        """The large files by their sha256."""
        files = (body for repository in self.repositories.values() for body in repository.files.items())
        return {sha256(body): body for name, body in files if name.endswith(LARGE)}

    def downloads(self) -> list[dict[str, str]]:
        """The headers of the CDN's requests."""
        return [headers for method, path, headers in self.asked if method == "GET" and path.startswith("/cdn")]


def hand_made_model(context: int = 384) -> dict[str, bytes]:
    """Files of a model that can be described, but not run: a configuration, and a header with one tensor of zeros."""
    header = json.dumps({"model.norm.weight": {"dtype": "F32", "shape": [64, 256], "data_offsets": [0, 65_536]}})
    weights = len(header).to_bytes(8, "little") + header.encode() + bytes(65_536)
    config = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 256,
              "max_position_embeddings": context}  # fmt: skip
    return {"config.json": json.dumps(config).encode(), "tokenizer.json": b"{}", "model.safetensors": weights}


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@contextmanager
def small_hub() -> Iterator[SmallHub]:
    """A hub that serves while the block runs."""
    hub = SmallHub()
    front = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub, _Front))
    cdn = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub, _Cdn))
    hub.url, hub.cdn_url = (f"http://127.0.0.1:{server.server_address[1]}" for server in (front, cdn))
    threads = [threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True) for server in (front, cdn)]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        hub.go_on.set()
        for server in (front, cdn):
            server.shutdown()
            server.server_close()


def use_hub(hub: SmallHub, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make workers ask this hub, with an empty cache and no login, and with patience for a line that is held."""
    settings = {
        "HF_ENDPOINT": hub.url, "HF_HOME": str(home / "hf"), "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1",
        "HF_HUB_DOWNLOAD_TIMEOUT": "600", "HF_HUB_ETAG_TIMEOUT": "600",
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_CACHE", "TRANSFORMERS_OFFLINE", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)


def ended(folder: RunFolder, after: int = -1) -> RunState:
    """The job's state once it is over; `after` is the last event of an earlier session, whose end doesn't count."""
    for state in follow(RunReader(folder), lambda events, state: None, after):
        last = state
    return last


def held_at(folder: RunFolder, size: int) -> None:
    """Wait until a job has told that it brought so much."""
    for state in follow(RunReader(folder), lambda events, state: None):
        assert not state.over, state.result
        if state.phase == "download" and (state.phase_done or 0) >= size:
            return


def _handler(hub: SmallHub, kind: "type[_Handler]") -> "type[_Handler]":
    return type(kind.__name__, (kind,), {"hub": hub})


class _Handler(BaseHTTPRequestHandler):
    hub: SmallHub

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the terminal."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.hub.asked.append((self.command, self.path, {name.lower(): text for name, text in self.headers.items()}))
        self.serve(unquote(urlsplit(self.path).path))

    def serve(self, path: str) -> None:
        raise NotImplementedError

    def send(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        """One answer; of HEAD without its body."""
        self.send_response(status)
        for name, text in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, text)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def refuse(self, status: int, code: str, message: str) -> None:
        """An error as the hub words it: in headers, and as JSON."""
        body = json.dumps({"error": message}).encode()
        self.send(status, {"X-Error-Code": code, "X-Error-Message": message, "Content-Type": "application/json"}, body)


class _Front(_Handler):
    def serve(self, path: str) -> None:
        parts = path.strip("/").split("/")
        listed = parts[:2] == ["api", "models"]
        name = "/".join(parts[2:4] if listed else parts[:2])
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token and token not in (GOOD_TOKEN, OTHER_TOKEN):
            self.refuse(401, "", "Invalid credentials in Authorization header")
            return
        repository = self.hub.repositories.get(name)
        if repository is None:
            # To those without a login the hub says the same of what isn't there and of what is private.
            self.refuse(404 if token else 401, "RepoNotFound", "Repository not found")
            return
        revision = parts[5] if listed and len(parts) > 5 else "main" if listed else parts[3]
        if revision not in (repository.branch, "main", repository.commit):
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        elif listed and len(parts) > 6 and not any(file.startswith("/".join(parts[6:])) for file in repository.files):
            self.refuse(404, "EntryNotFound", "There is no such folder")
        elif listed:
            self._list(name, repository)
        elif repository.gated and token != GOOD_TOKEN:
            words = f"Access to model {name} is restricted"
            words += (
                " and you are not in the authorized list." if token else ". You must be authenticated to access it."
            )
            self.refuse(403 if token else 401, "GatedRepo", words)
        else:
            self._file(repository, "/".join(parts[4:]))

    def _list(self, name: str, repository: Repository) -> None:
        files = [{"rfilename": file, "size": len(body), "blobId": sha256(body)[:40]} for file, body in
                 repository.files.items()]  # fmt: skip
        for listed in files:
            if str(listed["rfilename"]).endswith(LARGE):
                body = repository.files[str(listed["rfilename"])]
                listed["lfs"] = {"sha256": sha256(body), "size": len(body), "pointerSize": 134}
        answer = {"id": name, "modelId": name, "sha": repository.commit, "private": False, "siblings": files}
        self.send(200, {"Content-Type": "application/json"}, json.dumps(answer).encode())

    def _file(self, repository: Repository, file: str) -> None:
        body = repository.files.get(file)
        if body is None:
            self.refuse(404, "EntryNotFound", "Entry not found")
            return
        headers = {"X-Repo-Commit": repository.commit, "ETag": f'"{sha256(body)[:40]}"'}
        if file.endswith(LARGE):
            moved = {"X-Linked-ETag": f'"{sha256(body)}"', "X-Linked-Size": str(len(body))}
            self.send(302, headers | moved | {"Location": f"{self.hub.cdn_url}/cdn/{sha256(body)}?Signature=secret"})
        else:
            self.send(200, headers, body)


class _Cdn(_Handler):
    def serve(self, path: str) -> None:
        body = self.hub.blobs().get(path.removeprefix("/cdn/"))
        if body is None:
            self.send(404, {})
            return
        begin = 0
        wanted = self.headers.get("Range")
        if wanted and self.hub.ranges:
            begin = int(wanted.removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(body) - begin))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        if self.command == "GET":
            with suppress(ConnectionError):  # Whoever asked may have ended.
                self._send_in_pieces(body, begin)

    def _send_in_pieces(self, body: bytes, begin: int) -> None:
        end = min(len(body), begin + self.hub.cuts.pop(0)) if self.hub.cuts else len(body)
        for start in range(begin, end, PIECE):
            held = self.hub.hold_after
            if held is not None and start >= held:
                self.hub.go_on.wait()
            self.wfile.write(body[start : min(end, start + PIECE)])
            self.wfile.flush()
