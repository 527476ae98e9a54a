"""The client of OpenAI-compatible endpoints, against a service on the loopback interface."""

import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from rung.engine.core.errors import EngineError
from rung.engine.generation.endpoint import ChatDecoding, ChatEndpoint
from rung.engine.project.schema import EndpointModel
from tests.helpers.chat_service import Response, Sent, answer, chat_service

KEY = "sk-very-secret-0123456789"
HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def connect(url: str, slept: list[float] | None = None, **settings: Any) -> ChatEndpoint:
    """An endpoint that notes its waits instead of waiting."""
    waits = [] if slept is None else slept
    environment = {"MY_KEY": KEY}
    return ChatEndpoint(
        EndpointModel(name="service", url=url, model="big", **settings), environment=environment, sleep=waits.append
    )


def test_an_answer_with_its_tokens_and_time() -> None:
    with chat_service(lambda sent: answer("Hi!", "length")) as service, connect(service.url) as endpoint:
        reply = endpoint.complete(HELLO, ChatDecoding(max_tokens=5, temperature=0.5, seed=3, stop=("\n",)))
    assert (reply.text, reply.tokens_in, reply.tokens_out, reply.finish_reason) == ("Hi!", 7, 3, "length")
    assert 0 < reply.seconds < 30
    (sent,) = service.requests
    assert sent.path == "/v1/chat/completions"
    assert sent.body == {
        "model": "big", "messages": HELLO, "max_tokens": 5, "temperature": 0.5, "top_p": 1.0, "seed": 3, "stop": ["\n"],
    }  # fmt: skip
    assert "authorization" not in sent.headers


def test_what_a_service_leaves_out_is_not_made_up() -> None:
    body = {"choices": [{"message": {"content": None}}]}
    with chat_service(lambda sent: Response(body)) as service, connect(service.url) as endpoint:
        reply = endpoint.complete(HELLO)
    assert (reply.text, reply.tokens_in, reply.tokens_out) == ("", None, None)


def test_the_key_comes_from_the_environment_and_is_shown_nowhere() -> None:
    def refuse(sent: Sent) -> Response:
        return Response({"error": {"message": f"Incorrect API key provided: {KEY}."}}, 401)

    with chat_service(refuse) as service, connect(service.url, key_variable="MY_KEY") as endpoint:
        with pytest.raises(EngineError) as caught:
            endpoint.complete(HELLO)
        shown = repr(endpoint)
    assert service.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert str(caught.value) == (
        "The endpoint service refused the request\nHTTP 401: Incorrect API key provided: ***.\n"
        "Hint: check the key in the environment variable MY_KEY"
    )
    assert KEY not in shown and "key=***" in shown


def test_half_a_key_is_not_shown_either() -> None:
    """A long message is cut; the key must be masked before."""
    with chat_service(lambda sent: Response("x" * 490 + KEY, 400)) as service:
        with connect(service.url, key_variable="MY_KEY") as endpoint, pytest.raises(EngineError) as caught:
            endpoint.complete(HELLO)
    assert KEY[:8] not in str(caught.value)


def test_a_password_in_the_address_is_masked() -> None:
    with connect("http://me:pass-word@127.0.0.1:1/v1") as endpoint:
        assert "pass-word" not in repr(endpoint)
        with pytest.raises(EngineError) as caught:
            endpoint.complete(HELLO)
    assert "pass-word" not in str(caught.value) and "***@127.0.0.1" in caught.value.details


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_key_is_told_before_anything_is_sent(value: str | None) -> None:
    settings = EndpointModel(name="service", url="http://127.0.0.1:1/v1", model="big", key_variable="MY_KEY")
    with pytest.raises(EngineError, match="MY_KEY holds no key"):
        ChatEndpoint(settings, environment={} if value is None else {"MY_KEY": value})


@pytest.mark.parametrize("status", [429, 500, 503, 529])
def test_a_busy_service_is_asked_again(status: int) -> None:
    responses = [Response("busy", status), Response("busy", status), answer("at last")]
    slept: list[float] = []
    with chat_service(lambda sent: responses.pop(0)) as service, connect(service.url, slept) as endpoint:
        assert endpoint.complete(HELLO).text == "at last"
    assert len(service.requests) == 3
    assert 0.75 <= slept[0] <= 1.25 and 1.5 <= slept[1] <= 2.5


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (lambda: "7", (7, 7)),
        (lambda: "0", (0, 0)),
        (lambda: "86400", (60, 60)),
        (lambda: format_datetime(datetime.now(UTC) + timedelta(seconds=20)), (10, 20)),
        (lambda: "soon", (0.75, 1.25)),
        (lambda: "nan", (0.75, 1.25)),
    ],
)
def test_it_waits_as_long_as_the_service_asks(header: Callable[[], str], expected: tuple[float, float]) -> None:
    responses = [Response("slow down", 429, {"retry-after": header()}), answer("ok")]
    slept: list[float] = []
    with chat_service(lambda sent: responses.pop(0)) as service, connect(service.url, slept) as endpoint:
        endpoint.complete(HELLO)
    assert expected[0] <= slept[0] <= expected[1]


def test_it_gives_up_in_the_end() -> None:
    slept: list[float] = []
    with chat_service(lambda sent: Response({"error": "overloaded"}, 503)) as service:
        with connect(service.url, slept) as endpoint, pytest.raises(EngineError) as caught:
            endpoint.complete(HELLO)
    assert len(service.requests) == 6 and len(slept) == 5
    assert caught.value.message == "The endpoint service is busy or failing"
    assert caught.value.details == "HTTP 503: overloaded\nafter 6 requests"


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (Response({"error": {"message": "no such model"}}, 404), "the model's name, big"),
        (Response({"detail": "prompt too long"}, 400), "HTTP 400: prompt too long"),
        (Response({"error": {"code": "insufficient_quota", "message": "You have no quota"}}, 429), "You have no quota"),
        (Response("<html>Log in</html>"), "doesn't speak the OpenAI chat protocol"),
        (Response({"choices": []}), "gave no answer"),
        (Response("", 301, {"location": "http://127.0.0.1:1/elsewhere"}), "HTTP 301"),
    ],
)
def test_what_will_not_get_better_is_told_at_once(response: Response, said: str) -> None:
    slept: list[float] = []
    with chat_service(lambda sent: response) as service, connect(service.url, slept) as endpoint:
        with pytest.raises(EngineError) as caught:
            endpoint.complete(HELLO)
    assert said in str(caught.value)
    assert len(service.requests) == 1 and slept == []


def test_a_service_that_hangs_is_given_up_after_the_time_limit() -> None:
    release = threading.Event()

    def hang(sent: Sent) -> Response:
        release.wait(30)
        return answer("late")

    slept: list[float] = []
    with chat_service(hang) as service, connect(service.url, slept, timeout_s=0.05) as endpoint:
        with pytest.raises(EngineError, match="can't be reached") as caught:
            endpoint.complete(HELLO)
        release.set()
    assert "ReadTimeout" in caught.value.details and len(slept) == 5


def test_a_service_that_is_not_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    slept: list[float] = []
    with connect(f"http://127.0.0.1:{port}/v1", slept) as endpoint, pytest.raises(EngineError) as caught:
        endpoint.complete(HELLO)
    assert f"127.0.0.1:{port}" in caught.value.details and len(slept) == 5
    with connect("127.0.0.1:8000/v1") as endpoint, pytest.raises(EngineError, match="address that can't be used"):
        endpoint.complete(HELLO)


def test_the_other_name_of_the_token_limit_is_used_where_it_is_asked_for() -> None:
    def respond(sent: Sent) -> Response:
        if "max_tokens" in sent.body:
            return Response({"error": {"message": "Unsupported: use 'max_completion_tokens' instead."}}, 400)
        return answer("ok")

    with chat_service(respond) as service, connect(service.url) as endpoint:
        assert [endpoint.complete(HELLO).text for _ in range(2)] == ["ok", "ok"]
    assert [sent.body.get("max_completion_tokens") for sent in service.requests] == [None, 128, 128]


def test_many_are_answered_in_their_order_a_few_at_a_time() -> None:
    running, most, lock = 0, 0, threading.Lock()
    two_at_once = threading.Event()

    def respond(sent: Sent) -> Response:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if running >= 2:
                two_at_once.set()
        two_at_once.wait(10)
        with lock:
            running -= 1
        return answer(sent.body["messages"][0]["content"].upper())

    conversations = [[{"role": "user", "content": f"row {number}"}] for number in range(20)]
    with chat_service(respond) as service, connect(service.url, concurrency=3) as endpoint:
        assert endpoint.generate(conversations) == [f"ROW {number}" for number in range(20)]
        assert endpoint.complete_all([]) == []
    assert 2 <= most <= 3


def test_what_was_answered_before_a_failure_is_given_and_nothing_more_is_asked() -> None:
    def respond(sent: Sent) -> Response:
        number = int(sent.body["messages"][0]["content"])
        return Response("bad row", 400) if number == 4 else answer(str(number))

    conversations = [[{"role": "user", "content": str(number)}] for number in range(50)]
    given: dict[int, str] = {}
    with chat_service(respond) as service, connect(service.url, concurrency=3) as endpoint:
        with pytest.raises(EngineError, match="refused the request"):
            for index, reply in endpoint.stream_replies(conversations):
                given[index] = reply.text
    answered = {int(sent.body["messages"][0]["content"]) for sent in service.requests} - {4}
    assert given == {number: str(number) for number in answered} and {0, 1, 2, 3} <= answered
    assert len(service.requests) < 12


def test_stopping_in_the_middle_asks_nothing_more() -> None:
    conversations = [[{"role": "user", "content": str(number)}] for number in range(50)]
    with chat_service(lambda sent: answer("x")) as service, connect(service.url, concurrency=2) as endpoint:
        replies = endpoint.stream_replies(conversations)
        next(replies)
        replies.close()
        asked = len(service.requests)
    assert asked == len(service.requests) <= 4


def test_the_models_of_a_service() -> None:
    listing = {"object": "list", "data": [{"id": "small"}, {"id": "big"}]}
    with chat_service(lambda sent: Response(listing)) as service, connect(service.url) as endpoint:
        assert endpoint.list_models() == ["big", "small"]
    assert service.requests[0].path == "/v1/models"
    with chat_service(lambda sent: Response([])) as service, connect(service.url) as endpoint:
        with pytest.raises(EngineError, match="no list of models"):
            endpoint.list_models()


@pytest.mark.parametrize("tail", ["", "/", "/chat/completions"])
def test_the_address_may_be_written_in_several_ways(tail: str) -> None:
    with chat_service(lambda sent: answer("ok")) as service, connect(service.url + tail) as endpoint:
        endpoint.complete(HELLO)
    assert service.requests[0].path == "/v1/chat/completions"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "It is "}, {"type": "text", "text": "red."}], "It is red."),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "red"}], "red"),
        ([{"type": "output_text", "text": "red"}], "red"),
        (["red"], "red"),
        ([], ""),
    ],
)
def test_an_answer_in_parts_is_read(content: list[Any], text: str) -> None:
    body = {"choices": [{"message": {"content": content}, "finish_reason": "stop"}]}
    with chat_service(lambda sent: Response(body)) as service, connect(service.url) as endpoint:
        reply = endpoint.complete(HELLO)
    assert (reply.text, reply.refusal) == (text, "")


@pytest.mark.parametrize(
    ("message", "finish_reason", "refusal"),
    [
        ({"content": None, "refusal": "I can't help with that."}, "stop", "I can't help with that."),
        ({"content": [{"type": "refusal", "refusal": "No."}]}, "stop", "No."),
        ({"content": "It is"}, "content_filter", "the service's content filter"),
    ],
)
def test_a_refusal_in_an_answer_s_place_is_told(message: dict[str, Any], finish_reason: str, refusal: str) -> None:
    body = {"choices": [{"message": message, "finish_reason": finish_reason}]}
    with chat_service(lambda sent: Response(body)) as service, connect(service.url) as endpoint:
        assert endpoint.complete(HELLO).refusal == refusal


def numbered(count: int) -> list[list[dict[str, str]]]:
    return [[{"role": "user", "content": str(number)}] for number in range(count)]


def test_a_row_that_is_refused_for_good_is_given_as_refused_and_the_others_go_on() -> None:
    def respond(sent: Sent) -> Response:
        number = int(sent.body["messages"][0]["content"])
        return Response({"error": {"message": "content policy"}}, 400) if number in (0, 4) else answer(str(number))

    with chat_service(respond) as service, connect(service.url, concurrency=3) as endpoint:
        replies = dict(endpoint.stream_replies(numbered(12), keep_refused=True))
        judged = endpoint.generate(numbered(6))
    assert len(replies) == 12 and len(service.requests) == 18
    assert {number for number, reply in replies.items() if reply.refusal} == {0, 4}
    assert (replies[4].text, replies[4].refusal) == ("", "HTTP 400: content policy")
    assert judged == ["", "1", "2", "3", "", "5"]


@pytest.mark.parametrize("count", [2, 50])
def test_an_endpoint_that_refuses_whatever_it_is_asked_is_an_error(count: int) -> None:
    with chat_service(lambda sent: Response({"error": "unknown field seed"}, 400)) as service:
        with connect(service.url, concurrency=2) as endpoint, pytest.raises(EngineError) as caught:
            list(endpoint.stream_replies(numbered(count), keep_refused=True))
    assert "unknown field seed" in caught.value.details and len(service.requests) <= 12


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_makes_the_whole_endpoint_useless_ends_it_in_the_middle_too(status: int) -> None:
    def respond(sent: Sent) -> Response:
        number = int(sent.body["messages"][0]["content"])
        return answer("fine") if number < 5 else Response("no", status)

    with chat_service(respond) as service, connect(service.url, concurrency=1) as endpoint:
        with pytest.raises(EngineError, match="refused the request"):
            list(endpoint.stream_replies(numbered(50), keep_refused=True))
    assert len(service.requests) == 6
