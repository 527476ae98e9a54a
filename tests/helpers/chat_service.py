"""A small OpenAI-compatible service on the loopback interface, whose every response the test decides."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Sent:
    """One request as the service saw it."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class Response:
    """What the service sends back; a body that is no text is sent as JSON."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def answer(text: str | None, finish_reason: str = "stop", tokens: tuple[int, int] = (7, 3)) -> Response:
    """A chat completion."""
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}
    return Response({"choices": [choice], "usage": usage})


@dataclass
class ChatService:
    """The running service: its address, and what it was sent, in order."""

    url: str
    requests: list[Sent]


@contextmanager
def chat_service(respond: Callable[[Sent], Response]) -> Iterator[ChatService]:
    """A service that answers each request with `respond`, until the block ends."""
    requests: list[Sent] = []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            sent = Sent(
                self.path, {name.lower(): value for name, value in self.headers.items()}, json.loads(body or "{}")
            )
            with lock:
                requests.append(sent)
            response = respond(sent)
            content = response.body if isinstance(response.body, str) else json.dumps(response.body)
            self.send_response(response.status)
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content.encode())))
            # A client that has given up waiting reads no answer.
            with suppress(BrokenPipeError, ConnectionResetError):
                self.end_headers()
                self.wfile.write(content.encode())

        do_GET = do_POST

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield ChatService(f"http://127.0.0.1:{server.server_port}/v1", requests)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
