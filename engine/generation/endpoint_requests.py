"""Requests to an OpenAI-compatible service: retries, clear errors, and a key that no message shows."""

import math
import random
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from rung.engine.core.errors import EngineError

if TYPE_CHECKING:
    import httpx

    from rung.engine.project.schema import EndpointModel

MASK = "***"
_RETRIED_STATUS = {408, 409, 425, 429, 500, 502, 503, 504, 529}
_LONGEST_WAIT_S = 60.0


class RefusedError(EngineError):
    """A request that would be refused again, however often it is sent. `status` is the response's."""

    def __init__(self, status: int, message: str, details: str = "", hint: str = "") -> None:
        super().__init__(message, details, hint)
        self.status = status

    @property
    def is_about_the_request(self) -> bool:
        """Whether this request alone was refused, for what it says: another one may be answered."""
        return self.status in (400, 413, 422)


class Requests:
    """JSON requests to one service.

    Busy and failing services (408, 429, 5xx, time-outs, broken connections) are asked again, `retries` times, after
    the wait they ask for or 1, 2, 4, … seconds.
    """

    def __init__(
        self, settings: "EndpointModel", retries: int, environment: Mapping[str, str], sleep: Callable[[float], None]
    ) -> None:
        import httpx

        self._settings, self._retries, self._sleep = settings, retries, sleep
        self._key = _read_key(settings.key_variable, environment)
        self._url = settings.url.rstrip("/").removesuffix("/chat/completions")
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=settings.timeout_s,
            limits=httpx.Limits(max_connections=settings.concurrency),
        )

    def __repr__(self) -> str:
        return f"Requests({self.shown(self._url)!r}, key={MASK if self._key else None})"

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def send(self, method: str, path: str, payload: dict[str, Any] | None) -> tuple[Any, float]:
        """The JSON of a successful response and its seconds. Raises EngineError, RefusedError if it is final."""
        import httpx

        for attempt in range(self._retries + 1):
            started = time.perf_counter()
            try:
                response = self._client.request(method, self._url + path, json=payload)
            except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as error:
                raise self.error("has an address that can't be used", f"{self._url}: {error}") from None
            except httpx.RequestError as error:
                problem, wait_s = self._unreachable(error), None
            else:
                seconds = time.perf_counter() - started
                if response.is_success:
                    return self._json(response), seconds
                problem, wait_s = self._refusal(response), _retry_after(response.headers.get("retry-after"))
                if isinstance(problem, RefusedError):
                    raise problem
            if attempt < self._retries:
                self._sleep(_backoff(attempt) if wait_s is None else wait_s)
        raise problem

    def _unreachable(self, error: "httpx.RequestError") -> EngineError:
        tried = f"{self._url}: {type(error).__name__}: {error}\nafter {self._retries + 1} requests"
        return self.error("can't be reached", tried, "is the service running, and timeout_s long enough?")

    def _refusal(self, response: "httpx.Response") -> EngineError:
        """What a failed response means: `RefusedError` where asking again would not help."""
        # Masked before it is cut, or half a key could stay.
        status, words = response.status_code, self.shown(_error_text(response))[:500]
        details = f"HTTP {status}: {words}" if words else f"HTTP {status}"
        if status in _RETRIED_STATUS and "insufficient_quota" not in response.text:
            return self.error("is busy or failing", f"{details}\nafter {self._retries + 1} requests")
        hints = {
            401: self._key_hint(),
            403: self._key_hint(),
            404: f"check the address {self.shown(self._url)} and the model's name, {self._settings.model}",
        }
        said = self.error("refused the request", details, hints.get(status, ""))
        return RefusedError(status, said.message, said.details, said.hint)

    def _key_hint(self) -> str:
        variable = self._settings.key_variable
        if variable is None:
            return "name the environment variable that holds the key: key_variable"
        return f"check the key in the environment variable {variable}"

    def _json(self, response: "httpx.Response") -> Any:
        try:
            return response.json()
        except ValueError:
            said = self.shown(response.text)[:200]
            raise self.error("doesn't speak the OpenAI chat protocol", said, "the address mostly ends in /v1") from None

    def error(self, what: str, details: str, hint: str = "") -> EngineError:
        """The error that says what the endpoint did."""
        return EngineError(f"The endpoint {self._settings.name} {what}", self.shown(details), hint)

    def shown(self, text: str) -> str:
        """The text without the key, whoever put it there, and without a password in the address."""
        shown = text.replace(self._key, MASK) if self._key else text
        scheme, separator, rest = self._url.partition("://")
        credentials = rest.split("/")[0].rpartition("@")[0]
        return shown.replace(credentials, MASK) if separator and credentials else shown


def _read_key(variable: str | None, environment: Mapping[str, str]) -> str:
    if variable is None:
        return ""
    key = environment.get(variable, "").strip()
    if not key:
        raise EngineError(
            f"The environment variable {variable} holds no key", hint=f"export {variable}=… before starting rung"
        )
    if not key.isascii() or not key.isprintable():
        raise EngineError(f"The environment variable {variable} holds something that can't be a key")
    return key


def _error_text(response: "httpx.Response") -> str:
    """The service's own words, where it has some."""
    try:
        error = response.json()
        for name in ("error", "message", "detail"):
            if isinstance(error, dict) and name in error:
                error = error[name]
        return str(error)
    except ValueError:
        return response.text


def _retry_after(header: str | None) -> float | None:
    """The seconds a service asks to wait for, at most a minute; None where it doesn't."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time.time()
        except ValueError:
            return None
    return None if math.isnan(seconds) else min(max(seconds, 0.0), _LONGEST_WAIT_S)


def _backoff(attempt: int) -> float:
    # A spread, so that requests refused together don't come back together.
    return float(min(_LONGEST_WAIT_S, 2**attempt) * random.uniform(0.75, 1.25))
