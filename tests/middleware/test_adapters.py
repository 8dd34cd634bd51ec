"""What both adapters do alike: order, answers of policies, files, failures, the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bare_serve.errors import ResponseError
from bare_serve.middleware import Answer, Exchange, FileBody, Head, Headers, Outcome, wrap
from bare_serve.middleware.gzip import Gzip
from bare_serve.middleware.request_id import RequestId
from bare_serve.testing import SpecError, TestClient, WebSocketRefused
from bare_serve.wsgi.response import FileWrapper
from tests.middleware.apps import BOTH, Unfinished, asgi, client, wsgi
from tests.middleware.drivers import Told, asgi_told, environ, http_scope, wsgi_told


class Noted:
    """A policy that writes down all that happens to it."""

    def __init__(self, name: str, told: list[Any], *, changes: bool = False) -> None:
        self.name = name
        self.told = told
        self.changes = changes
        self.outcomes: list[Outcome] = []

    def begin(self, request: Head) -> Exchange | Answer | None:
        self.told.append(f"{self.name}.begin")
        return NotedExchange(self)


class NotedExchange(Exchange):
    """Its exchange."""

    def __init__(self, policy: Noted) -> None:
        self.policy = policy
        self.body = self.change if policy.changes else None

    def start(self, status: int, headers: Headers) -> None:
        self.policy.told.append(f"{self.policy.name}.start {status}")
        headers.add("X-Noted", self.policy.name)

    def change(self, piece: bytes, last: bool) -> bytes:
        self.policy.told.append(f"{self.policy.name}.body {piece!r} {last}")
        return piece.upper() + (b"!" if last else b"")

    def end(self, outcome: Outcome) -> None:
        self.policy.told.append(f"{self.policy.name}.end")
        self.policy.outcomes.append(outcome)


class Refuses:
    """A policy that answers."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    def begin(self, request: Head) -> Answer:
        return self.answer


class Fails:
    """A policy that is broken at one point."""

    def __init__(self, where: str) -> None:
        self.where = where

    def begin(self, request: Head) -> Exchange:
        if self.where == "begin":
            raise ZeroDivisionError
        return FailingExchange(self.where)


class FailingExchange(Exchange):
    """Its exchange."""

    def __init__(self, where: str) -> None:
        self.where = where

    def start(self, status: int, headers: Headers) -> None:
        if self.where == "start":
            raise ZeroDivisionError

    def end(self, outcome: Outcome) -> None:
        if self.where == "end":
            raise ZeroDivisionError


@BOTH
def test_the_order(app: Any) -> None:
    told: list[Any] = []
    stack = (Noted("a", told), Noted("b", told, changes=True))
    with client(app, lambda app: wrap(app, *stack)) as inside:
        response = inside.get("/write")
    assert response.headers.all("x-noted") == ["b", "a"]
    order = [each for each in told if ".body" not in each]
    assert order == ["a.begin", "b.begin", "b.start 200", "a.start 200", "b.end", "a.end"]


@BOTH
def test_pieces_are_changed_as_they_come(app: Any) -> None:
    told: list[Any] = []

    class NoLength(Noted):
        def begin(self, request: Head) -> Exchange:
            return NotedExchange(self)

    with client(app, lambda app: wrap(app, NoLength("b", told, changes=True))) as inside:
        assert inside.get("/stream").text.startswith("ONE\nTWO\n")
        assert inside.get("/write").text == "ONE\nTWO\nTHREE\n!"
        assert inside.get("/late-start").text == "LATE\n!"
    outcome_of_stream = [each for each in told if each.startswith("b.body")]
    assert outcome_of_stream[0] == "b.body b'one\\n' False"


@BOTH
def test_an_answer_passes_those_in_front(app: Any) -> None:
    told: list[Any] = []
    front, behind = Noted("front", told), Noted("behind", told)
    answer = Answer(418, [("Content-Type", "text/plain")], b"tea\n")
    with client(app, lambda app: wrap(app, front, Refuses(answer), behind)) as inside:
        response = inside.get("/hello")
        assert (response.status, response.text) == (418, "tea\n")
        assert response.headers["content-length"] == "4"
        head = inside.head("/hello")
        assert (head.status, head.content, head.headers["content-length"]) == (418, b"", "4")
    assert told == ["front.begin", "front.start 418", "front.end"] * 2
    assert [(each.status, each.sent) for each in front.outcomes] == [(418, 4), (418, 0)]


@BOTH
def test_an_answer_cannot_be_split(app: Any) -> None:
    split = Answer(302, [("Location", "/a\r\nSet-Cookie: evil=1")])
    with client(app, lambda app: wrap(app, Noted("a", []), Refuses(split))) as inside:
        response = inside.get("/")
        assert response.status == 500
        assert "set-cookie" not in response.headers


@BOTH
def test_a_204_has_no_length(app: Any) -> None:
    with client(app, lambda app: wrap(app, Refuses(Answer(204)))) as inside:
        response = inside.get("/")
        assert response.status == 204
        assert "content-length" not in response.headers


@BOTH
@pytest.mark.parametrize(("offset", "length"), [(0, 300_000), (10, 200_000), (299_990, 10), (5, 0)])
@pytest.mark.parametrize("changes", [False, True])
def test_files_are_sent_and_closed(
    app: Any, offset: int, length: int, changes: bool, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    content = os.urandom(150_000).hex().encode()
    path.write_bytes(content)
    told: list[Any] = []
    opened: list[int] = []

    class Sends:
        def begin(self, request: Head) -> Answer:
            fd = os.open(path, os.O_RDONLY)
            opened.append(fd)
            fields = [("Content-Type", "text/plain")]
            return Answer(200, fields, FileBody(fd, offset, length, str(path)))

    class NoLength(Noted):
        def begin(self, request: Head) -> Exchange:
            return Shortened(self)

    class Shortened(NotedExchange):
        def start(self, status: int, headers: Headers) -> None:
            headers.remove("content-length")

    front = NoLength("front", told, changes=True) if changes else Noted("front", told)
    wanted = content[offset : offset + length]
    with client(app, lambda app: wrap(app, front, Sends())) as inside:
        got = inside.get("/").content
        assert got == (wanted.upper() + b"!" if changes else wanted)
        if not changes:
            head = inside.head("/")
            assert head.headers["content-length"] == str(length)
            assert head.content == b""
    for fd in opened:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
    assert all(outcome.error is None for outcome in front.outcomes)


def test_a_file_that_became_shorter_breaks_off(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"short")

    class Sends:
        def begin(self, request: Head) -> Answer:
            fd = os.open(path, os.O_RDONLY)
            return Answer(200, [("Content-Type", "text/plain")], FileBody(fd, 0, 10))

    told: Told = []
    with pytest.raises(OSError, match="shorter"):
        wsgi_told(wrap(wsgi, Sends()), told)
    with pytest.raises(OSError, match="shorter"):
        asgi_told(wrap(asgi, Sends()), told, http_scope(extensions={}))


@BOTH
@pytest.mark.parametrize("where", ["begin", "start", "end"])
def test_a_policy_that_fails_keeps_no_other_from_its_end(app: Any, where: str) -> None:
    told: list[Any] = []
    front, behind = Noted("front", told), Noted("behind", told)
    stack = (front, Fails(where), behind)
    with TestClient(wrap(app, *stack)) as inside, pytest.raises(ZeroDivisionError):
        inside.get("/hello")
    assert told.count("front.end") == 1
    assert told.count("behind.end") == (0 if where == "begin" else 1)
    if where == "begin":
        assert "front.start 500" in told


@BOTH
def test_a_failure_is_answered_and_goes_on(app: Any) -> None:
    told: list[Any] = []
    noted = Noted("a", told)
    with TestClient(wrap(app, noted)) as inside, pytest.raises(Unfinished):
        inside.get("/fail")
    assert told == ["a.begin", "a.start 500", "a.end"]
    assert isinstance(noted.outcomes[0].error, Unfinished)
    assert not noted.outcomes[0].client_gone


@BOTH
def test_a_report_of_a_failure_tells_the_id(app: Any) -> None:
    stack = wrap(app, RequestId())
    with TestClient(stack) as inside:
        with pytest.raises(Unfinished) as failure:
            inside.get("/fail", headers=[("X-Request-ID", "order-7")])
        assert failure.value.__notes__ == ["request id: order-7"]
    with TestClient(wrap(app, Noted("a", []))) as inside, pytest.raises(Unfinished) as failure:
        inside.get("/fail")
    assert not hasattr(failure.value, "__notes__")


@BOTH
def test_what_is_sent_is_counted(app: Any) -> None:
    noted = Noted("a", [])
    with client(app, lambda app: wrap(app, noted)) as inside:
        for path in ("/hello", "/stream", "/write", "/late-start", "/empty"):
            inside.get(path)
    found = [(each.status, each.sent, each.client_gone) for each in noted.outcomes]
    assert found == [
        (200, 6, False),
        (200, 8, False),
        (200, 14, False),
        (200, 5, False),
        (204, 0, False),
    ]


@BOTH
def test_a_client_that_leaves(app: Any) -> None:
    noted = Noted("a", [])

    def slow(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        while True:
            yield b"more "

    async def slow_asgi(scope: Any, receive: Any, send: Any) -> None:
        fields = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": b"more ", "more_body": True})
        await receive()
        assert (await receive())["type"] == "http.disconnect"

    endless = slow if app is wsgi else slow_asgi
    with TestClient(wrap(endless, noted)) as inside, inside.stream("GET", "/") as response:
        assert response.status == 200
    (outcome,) = noted.outcomes
    assert outcome.client_gone
    assert outcome.status == 200


@BOTH
def test_without_an_exchange_nothing_is_wrapped(app: Any) -> None:
    """The application gets the server's own start_response, send, environ and scope."""

    class Nothing:
        def begin(self, request: Head) -> None:
            return None

    seen: list[Any] = []
    if app is wsgi:

        def plain(environ: Any, start_response: Any) -> Any:
            seen.extend((environ, start_response))
            return wsgi(environ, start_response)

        given = environ()
        start = [].append
        with pytest.raises(TypeError):
            wrap(plain, Nothing())(given, start)
        assert seen[0] is given
        assert seen[1] is start
        return

    async def plain_asgi(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)
        await asgi(scope, receive, send)

    scope = http_scope()
    asgi_told(wrap(plain_asgi, Nothing()), [], scope)
    assert seen[0] is scope


# ------------------------------------------------------------------ WSGI alone


def test_exc_info_may_be_a_keyword() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")], exc_info=None)
        return [b"x"]

    told: Told = []
    wsgi_told(wrap(app, Noted("a", [])), told)
    assert told[0][1][0] == "200 OK"


def test_a_stream_to_head_is_complete() -> None:
    noted = Noted("a", [])
    given = environ(REQUEST_METHOD="HEAD", PATH_INFO="/stream")
    body = wrap(wsgi, noted)(given, lambda *_: None)
    next(iter(body))
    body.close()
    assert not noted.outcomes[0].client_gone


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_what_is_as_good_as_bytes_is_changed_as_well(kind: Any) -> None:
    """The server takes these, too; a head that says gzip must not have a body that is none."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        fields = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": kind(b"small ")})

    told: Told = []
    asgi_told(wrap(app, Noted("a", [], changes=True)), told)
    assert told[1][1]["body"] == b"SMALL !"


def test_a_file_wrapper_stays_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    told: list[Any] = []
    noted = Noted("a", told)

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return environ["wsgi.file_wrapper"](path.open("rb"))

    sent: Told = []
    given = environ() | {"wsgi.file_wrapper": FileWrapper}
    result = wsgi_told(wrap(app, noted), sent, given)
    assert type(result) is FileWrapper
    assert result.filelike.closed
    assert told[-1] == "a.end"


def test_a_list_stays_a_list_of_one() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"a", b"b"]

    result = wsgi_told(wrap(app, Noted("a", [])), [])
    assert isinstance(result, list)
    assert [*result] == [b"ab"]


@pytest.mark.parametrize("wrong", [None, "text", b"bytes", 7])
def test_what_is_no_body_reaches_the_server(wrong: Any) -> None:
    noted = Noted("a", [])

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return wrong

    result = wrap(app, noted)(environ(), lambda *_: None)
    assert result is wrong
    assert len(noted.outcomes) == 1


def test_mistakes_in_a_head_are_the_servers_to_refuse() -> None:
    for status, headers in (
        (200, []),
        ("OK", []),
        ("200 OK", ()),
        ("200 OK", ["ab"]),
        ("200 OK", [("X", "a\nb")]),
        ("200 OK", [(b"X", "a")]),
    ):

        def app(environ: Any, start_response: Any) -> Any:
            start_response(status, headers)  # noqa: B023
            return [b""]

        with (
            TestClient(wrap(app, Noted("a", []), RequestId())) as inside,
            pytest.raises((ResponseError, AssertionError)),
        ):
            inside.get("/")


@pytest.mark.parametrize("policies", [(RequestId(),), (Gzip(minimum_size=0),)])
@pytest.mark.parametrize("piece", [1, None, "text"])
def test_mistakes_in_a_body_are_the_servers_to_refuse(policies: Any, piece: Any) -> None:
    taken = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        return taken.append

    def pieces(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return iter([piece])

    def writes(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])(piece)
        return [b""]

    given = {**environ(), "HTTP_ACCEPT_ENCODING": "gzip"}
    assert next(iter(wrap(pieces, *policies)(given, start_response))) == piece
    wrap(writes, *policies)(given, start_response)
    assert taken == [piece]


@pytest.mark.parametrize(
    "headers",
    [[("x", "str")], [(b"x",)], 7, ["ab"], [(b"x", b"a\nb")], [(bytearray(b"x"), b"a")]],
)
def test_mistakes_in_a_head_of_asgi_are_the_servers_to_refuse(headers: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    stack = wrap(app, Noted("a", []), RequestId())
    with TestClient(stack) as inside, pytest.raises((ResponseError, SpecError)):
        inside.get("/")


@pytest.mark.parametrize("wants_end", [False, True])
@pytest.mark.parametrize("changes", [False, True])
@pytest.mark.parametrize(
    "message",
    [
        {},
        {"type": "http.response.start"},
        {"type": "http.response.start", "status": "200"},
        {"type": "http.response.nothing"},
        {"type": "http.response.body", "body": None},
        {"type": "http.response.body", "body": "text"},
    ],
)
def test_messages_that_are_none_are_the_servers_to_refuse(
    message: Any, changes: bool, wants_end: bool
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if message.get("type") == "http.response.body":
            fields = [(b"content-type", b"text/plain")]
            await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send(message)

    policy = Noted("a", [], changes=changes) if wants_end or changes else RequestId()
    with (
        TestClient(wrap(app, policy)) as inside,
        pytest.raises((ResponseError, SpecError)) as ours,
    ):
        inside.get("/")
    with TestClient(app) as plain, pytest.raises((ResponseError, SpecError)) as servers:
        plain.get("/")
    assert str(ours.value) == str(servers.value)


# ------------------------------------------------------------------ ASGI alone


def test_a_websocket_is_refused_with_the_answer() -> None:
    told: list[Any] = []
    answer = Answer(403, [("Content-Type", "text/plain")], b"no\n")
    stack = wrap(asgi, Noted("a", told), Refuses(answer))
    with TestClient(stack) as inside:
        with pytest.raises(WebSocketRefused) as refused, inside.websocket("/"):
            pass
        assert refused.value.status == 403
    assert told == ["a.begin", "a.start 403", "a.end"]
    sent: Told = []
    scope = {**http_scope(extensions={}), "type": "websocket", "scheme": "ws"}
    asgi_told(wrap(asgi, Refuses(answer)), sent, scope, {"type": "websocket.connect"})
    assert sent == [("websocket.close", {"type": "websocket.close", "code": 1008})]


def test_a_websocket_has_a_start_and_an_end() -> None:
    told: list[Any] = []
    noted = Noted("a", told, changes=True)
    with TestClient(wrap(asgi, noted)) as inside, inside.websocket("/") as ws:
        ws.send("hi")
        assert ws.receive() == "None None hi"
        assert ws.headers["x-noted"] == "a"
        assert told == ["a.begin", "a.start 101"]
    assert told == ["a.begin", "a.start 101", "a.end"]
    assert noted.outcomes[0].status == 101


@pytest.mark.parametrize("kind", ["http.response.pathsend", "http.response.zerocopysend"])
@pytest.mark.parametrize("changes", [False, True])
def test_files_of_the_application(kind: str, changes: bool, tmp_path: Path) -> None:
    """They go to the server as they are, and are read where a policy changes bodies."""
    path = tmp_path / "file"
    path.write_bytes(b"content " * 20_000)
    noted = Noted("a", [], changes=changes)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        fields = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        with path.open("rb") as file:
            part = {"path": str(path)} if "path" in kind else {"file": file, "offset": 8}
            await send({"type": kind, **part})

    told: Told = []
    asgi_told(wrap(app, noted), told)
    assert len(noted.outcomes) == 1
    assert not noted.outcomes[0].client_gone
    if not changes:
        assert [kind for kind, _ in told] == ["http.response.start", kind]
        return
    body = b"".join(message["body"] for _, message in told[1:])
    assert body == path.read_bytes()[0 if "path" in kind else 8 :].upper() + b"!"


def test_a_send_that_fails_is_a_client_that_left() -> None:
    noted = Noted("a", [])

    async def send(message: Any) -> None:
        raise OSError("gone")

    async def run() -> None:
        await wrap(asgi, noted)(http_scope(path="/hello"), None, send)

    import asyncio

    with pytest.raises(OSError, match="gone"):
        asyncio.run(run())
    assert noted.outcomes[0].client_gone


def test_the_folder_offers_what_the_table_names() -> None:
    import bare_serve.middleware as folder
    from bare_serve.middleware.registry import NAMES

    for place in NAMES.values():
        name = place.partition(":")[2]
        assert getattr(folder, name).__module__.startswith("bare_serve.middleware."), name
    for name in folder.__all__:
        assert getattr(folder, name) is not None
    with pytest.raises(AttributeError):
        folder.nothing  # noqa: B018


def test_the_applications_failure_is_told_though_nothing_can_be_sent() -> None:
    async def send(message: Any) -> None:
        raise OSError("gone")

    async def run() -> None:
        await wrap(asgi, Noted("a", []))(http_scope(path="/fail"), None, send)

    import asyncio

    with pytest.raises(Unfinished):
        asyncio.run(run())


def test_a_websocket_on_the_socket_of_the_connection_is_no_failure() -> None:
    """Libraries end such a call by StopIteration, and nothing more may be sent."""

    def app(environ: Any, start_response: Any) -> Any:
        raise StopIteration

    noted = Noted("a", told := [])
    wrapped = wrap(app, noted)

    def start_response(*_: Any) -> Any:
        raise AssertionError("the connection speaks another protocol")

    with pytest.raises(StopIteration):
        wrapped({**environ(), "gunicorn.socket": object()}, start_response)
    assert told == ["a.begin", "a.end"]
    [outcome] = noted.outcomes
    assert (outcome.status, outcome.error, outcome.client_gone) == (101, None, False)
