"""What textbooks' middleware gets wrong: ours passes each test here, and theirs fails each."""

from __future__ import annotations

import gzip
import inspect
import logging
import re
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bare_serve.middleware import wrap
from bare_serve.middleware.basic_auth import BasicAuth
from bare_serve.middleware.bearer_auth import BearerAuth
from bare_serve.middleware.cors import Cors
from bare_serve.middleware.credentials import Secrets
from bare_serve.middleware.gzip import Gzip
from bare_serve.middleware.logging import Logging
from bare_serve.middleware.registry import NAMES
from bare_serve.middleware.request_id import RequestId
from bare_serve.middleware.timing import Timing
from bare_serve.testing import TestClient, WebSocketRefused
from tests.middleware import apps
from tests.middleware.apps import against
from tests.middleware.book import asgi as book_asgi
from tests.middleware.book import wsgi as book_wsgi
from tests.middleware.drivers import Told, asgi_told, environ, http_scope, wsgi_told
from tests.middleware.test_table import POLICIES

TEXT = ("Content-Type", "text/plain; charset=utf-8")
ACCEPTS = [(b"accept-encoding", b"gzip")]


def policy(made: Any) -> Any:
    """A middleware of the classic form that puts a policy around an application."""

    def around(app: Any) -> Any:
        return wrap(app, made)

    around.policy = made  # type: ignore[attr-defined]
    return around


def is_wsgi(around: Any) -> bool:
    """Whether it is for WSGI; ours is for both."""
    return getattr(around, "__module__", "") != book_asgi.__name__


class Lines(logging.Handler):
    """What is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def __enter__(self) -> list[str]:
        logger = logging.getLogger("bare_serve.middleware")
        self._before = logger.level
        logger.setLevel(logging.INFO)
        logger.addHandler(self)
        return self.lines

    def __exit__(self, *_: object) -> None:
        logger = logging.getLogger("bare_serve.middleware")
        logger.removeHandler(self)
        logger.setLevel(self._before)


# ------------------------------------------------------------------ logging


@against(policy(Logging()), book_wsgi.logging)
def test_logging_covers_iteration_and_exceptions(around: Any) -> None:
    def slow(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [TEXT])
        time.sleep(0.03)
        yield b"late"

    def fails(environ: Any, start_response: Any) -> Any:
        raise apps.Unfinished

    with Lines() as lines:
        wsgi_told(around(slow), [])
        with pytest.raises(apps.Unfinished):
            wsgi_told(around(fails), [])
    assert " 200 4 bytes" in lines[0]
    assert float(lines[0].split(" bytes ")[1].split(" ms")[0]) >= 29
    assert " 500 " in lines[1]
    assert "raised Unfinished" in lines[1]


@against(policy(Logging()), book_asgi.Timing)
def test_logging_covers_exceptions_of_asgi(around: Any) -> None:
    with Lines() as lines, pytest.raises(apps.Unfinished):
        asgi_told(around(apps.asgi), [], http_scope(path="/fail"))
    assert " 500 " in lines[0]
    assert "raised Unfinished" in lines[0]


@against(policy(Logging()), book_wsgi.logging)
def test_log_line_escapes_path(around: Any) -> None:
    path = "/a\r\n127.0.0.1 GET /forged \x1b[2J"
    with Lines() as lines:
        wsgi_told(around(apps.wsgi), [], environ(PATH_INFO=path))
        asgi_told(wrap(apps.asgi, Logging()), [], http_scope(path=path, raw_path=path.encode()))
    assert len(lines) == 2
    for line in lines:
        assert line.isprintable()
        assert "forged" in line


# ------------------------------------------------------------------ authentication


@against(policy(BasicAuth(["ann:secret", "bob:pass:word"])), book_wsgi.basic_auth)
def test_auth_is_constant_time_and_scheme_insensitive(around: Any) -> None:
    with TestClient(around(apps.wsgi)) as client:
        for user in ("ann:secret", "bob:pass:word"):
            token = b64encode(user.encode()).decode()
            for scheme in ("Basic", "basic", "BASIC"):
                value = [("Authorization", f"{scheme} {token}")]
                assert client.get("/hello", headers=value).status == 200, (scheme, user)
        wrong = b64encode(b"ann:Secret").decode()
        assert client.get("/hello", headers=[("Authorization", f"Basic {wrong}")]).status == 401


def test_comparison_is_of_digests_by_compare_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes the same time for each secret: all of them are compared, and digests only."""
    compared: list[tuple[bytes, bytes]] = []

    def spy(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    secrets = Secrets([(b"a", "ann"), (b"a much longer secret", "bob")])
    monkeypatch.setattr("bare_serve.middleware.credentials.hmac.compare_digest", spy)
    assert secrets.owner(b"a") == "ann"
    assert secrets.owner(b"x" * 1000) is None
    assert len(compared) == 4
    assert {len(each) for pair in compared for each in pair} == {32}
    assert b"a much longer secret" not in repr(vars(secrets)).encode()


@against(policy(BearerAuth(["token"])), book_asgi.BearerAuth)
def test_auth_covers_websockets(around: Any) -> None:
    with TestClient(around(apps.asgi)) as client:
        with pytest.raises(WebSocketRefused) as refused, client.websocket("/ws"):
            pass
        assert refused.value.status == 401
        good = [("Authorization", "bearer token")]
        with client.websocket("/ws", headers=good) as ws:
            ws.send("hi")
            assert ws.receive() == "None token hi"


# ------------------------------------------------------------------ CORS

A, B = "https://a.example", "https://b.example"


@against(policy(Cors([A, B])), book_wsgi.cors)
def test_cors_echoes_one_origin_and_varies(around: Any) -> None:
    with TestClient(around(apps.wsgi)) as client:
        for origin in (A, B):
            response = client.get("/hello", headers=[("Origin", origin)])
            assert response.headers["access-control-allow-origin"] == origin
            assert response.headers["vary"] == "Origin"
        for other in ([("Origin", "https://evil.example")], []):
            response = client.get("/hello", headers=other)
            assert "access-control-allow-origin" not in response.headers
            assert response.headers["vary"] == "Origin"


@against(policy(Cors([A])), book_wsgi.cors)
def test_cors_headers_on_500(around: Any) -> None:
    with TestClient(around(apps.wsgi), raise_app_exceptions=False) as client:
        response = client.get("/fail", headers=[("Origin", A)])
    assert response.status == 500
    assert response.headers["access-control-allow-origin"] == A
    with TestClient(wrap(apps.asgi, Cors([A])), raise_app_exceptions=False) as client:
        response = client.get("/fail", headers=[("Origin", A)])
    assert response.status == 500
    assert response.headers["access-control-allow-origin"] == A


@against(policy(Cors([A])), book_wsgi.cors)
def test_plain_options_reaches_app(around: Any) -> None:
    with TestClient(around(apps.wsgi)) as client:
        assert client.request("OPTIONS", "/hello", headers=[("Origin", A)]).text == "hello\n"
        assert client.request("OPTIONS", "/hello").text == "hello\n"
        asked = [("Origin", A), ("Access-Control-Request-Method", "PUT")]
        response = client.request("OPTIONS", "/hello", headers=asked)
        assert response.status == 204
        assert "content-length" not in response.headers
        assert "PUT" in response.headers["access-control-allow-methods"]


# ------------------------------------------------------------------ ids and times

FORGED = ["a b", "x" * 129, "a\tb", 'a"b', "a,b", "<script>", "\xe9", "", "a;b", "id\x7f"]


@against(policy(RequestId()), book_wsgi.request_id)
def test_request_id_refuses_forged(around: Any) -> None:
    for forged in FORGED:
        told: Told = []
        wsgi_told(around(apps.wsgi), told, environ(HTTP_X_REQUEST_ID=forged))
        given = told[0][1][1]["X-Request-ID"]
        assert given != forged
        assert len(given) == 32
    told = []
    wsgi_told(around(apps.wsgi), told, environ(HTTP_X_REQUEST_ID="abc-1.2~3"))
    assert told[0][1][1]["X-Request-ID"] == "abc-1.2~3"


@against(policy(RequestId()), book_asgi.RequestId)
def test_request_id_refuses_forged_of_asgi(around: Any) -> None:
    for forged in FORGED:
        told: Told = []
        scope = http_scope(headers=[(b"x-request-id", forged.encode("latin-1"))])
        asgi_told(around(apps.asgi), told, scope)
        assert dict(told[0][1]["headers"])[b"x-request-id"] != forged.encode("latin-1")


@against(policy(RequestId()), book_asgi.RequestId)
def test_id_on_websocket(around: Any) -> None:
    with (
        TestClient(around(apps.asgi)) as client,
        client.websocket("/ws", headers=[("X-Request-ID", "abc")]) as ws,
    ):
        ws.send("hi")
        assert ws.receive() == "abc None hi"
        assert ws.headers["x-request-id"] == "abc"
        assert ws.headers["x-app"] == "yes"


@against(policy(Timing(slow=0.02)), book_wsgi.timing)
def test_timing_until_last_byte(around: Any) -> None:
    def slow(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [TEXT])
        yield b"early"
        time.sleep(0.03)
        yield b"late"

    told: Told = []
    with Lines() as lines:
        wsgi_told(around(slow), told)
    assert "dur=" in told[0][1][1]["Server-Timing"]
    took = re.fullmatch(r"GET /: took (\d+\.\d\d) s\.", lines[0])
    assert took is not None
    assert float(took[1]) >= 0.03


# ------------------------------------------------------------------ what adapters carry


def each_policy() -> list[Any]:
    """All policies, each around an application."""
    return [policy(made) for name, (made, _, _) in POLICIES.items() if name != "lint"]


def allowed() -> dict[str, Any]:
    """An environ that gets by each of them."""
    return environ(
        HTTP_AUTHORIZATION="Basic YW5uOnNlY3JldA==", HTTP_HOST="localhost", PATH_INFO="/hello"
    )


def by(made: Any, given: dict[str, Any]) -> dict[str, Any]:
    if isinstance(getattr(made, "policy", None), BearerAuth):
        given["HTTP_AUTHORIZATION"] = "Bearer tok"
    return given


@against(each_policy(), book_wsgi.described_gzip)
def test_every_policy_calls_close(around: Any) -> None:
    closed = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            yield b"abc"

        def close(self) -> None:
            closed.append(1)

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [TEXT])
        return Body()

    wsgi_told(around(app), [], by(around, allowed()))
    assert closed == [1]


@against(each_policy(), book_wsgi.described_gzip)
def test_every_policy_passes_exc_info(around: Any) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [TEXT])
        try:
            raise apps.Unfinished
        except apps.Unfinished:
            import sys

            start_response("503 Busy", [TEXT], sys.exc_info())
        return [b"sorry"]

    told: Told = []
    wsgi_told(around(app), told, by(around, allowed()))
    starts = [(what[0], what[2]) for kind, what in told if kind == "start"]
    assert starts == [("200 OK", False), ("503 Busy", True)]


@against(each_policy(), book_wsgi.described_gzip)
def test_every_policy_passes_write(around: Any) -> None:
    told: Told = []
    given = by(around, allowed())
    given["PATH_INFO"] = "/write"
    wsgi_told(around(apps.wsgi), told, given)
    sent = b"".join(what for kind, what in told if kind in ("write", "piece"))
    assert sent == b"one\ntwo\nthree\n"
    assert ("write", b"one\n") in told


@against([policy(Gzip(1)), *each_policy()], book_asgi.Gzip)
def test_every_policy_passes_head(around: Any) -> None:
    fields = [*ACCEPTS, (b"host", b"localhost"), (b"authorization", b"Basic YW5uOnNlY3JldA==")]
    if isinstance(getattr(around, "policy", None), BearerAuth):
        fields[-1] = (b"authorization", b"Bearer tok")
    told: Told = []
    asgi_told(around(apps.asgi), told, http_scope(method="HEAD", path="/hello", headers=fields))
    assert dict(told[0][1]["headers"])[b"content-length"] == b"6"
    assert b"content-encoding" not in dict(told[0][1]["headers"])


@against(each_policy(), book_asgi.Database)
def test_every_policy_lifespan_reaches_inner_app(around: Any) -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])
        await apps.lifespan(receive, send)

    told: Told = []
    both = ({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    asgi_told(around(app), told, {"type": "lifespan", "asgi": {"version": "3.0"}}, *both)
    assert seen == ["lifespan"]
    assert [kind for kind, _ in told] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


@against([policy(Gzip(1)), *each_policy()], book_asgi.Gzip)
def test_every_policy_start_is_not_held_back(around: Any) -> None:
    """The head has been sent on before the application goes on to its body."""
    told: Told = []
    at_start: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        fields = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        at_start.extend(kind for kind, _ in told)
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        at_start.extend(kind for kind, _ in told)
        await send({"type": "http.response.body", "body": b"two", "more_body": False})

    fields = [*ACCEPTS, (b"host", b"localhost"), (b"authorization", b"Basic YW5uOnNlY3JldA==")]
    if isinstance(getattr(around, "policy", None), BearerAuth):
        fields[-1] = (b"authorization", b"Bearer tok")
    elif isinstance(getattr(around, "policy", None), Gzip):
        fields.pop()
    asgi_told(around(app), told, http_scope(path="/hello", headers=fields))
    start, body = "http.response.start", "http.response.body"
    assert at_start == [start, start, body]


# ------------------------------------------------------------------ gzip

GZIPS = policy(Gzip(minimum_size=1))


def answer_of(around: Any, fields: Any, body: bytes = b"text " * 99, **request: Any) -> Any:
    """Return status, fields and content of an ASGI application's answer."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        status = request.get("status", 200)
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": body})

    told: Told = []
    accepted = request.get("accepted", b"gzip, deflate")
    scope = http_scope(headers=[(b"accept-encoding", accepted)])
    asgi_told(around(app), told, scope)
    sent = b"".join(message.get("body", b"") for _, message in told[1:])
    return told[0][1]["status"], told[0][1]["headers"], sent


TYPE = (b"content-type", b"text/plain")


@against(GZIPS, book_asgi.Gzip)
def test_gzip_streams_sse(around: Any) -> None:
    """Event streams pass as they are; other streams piece by piece, each of them whole."""
    for kind, whole in ((b"text/event-stream", False), (b"text/plain", True)):
        told: Told = []
        between: list[int] = []
        seen: list[bytes] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            fields = [(b"content-type", kind)]  # noqa: B023
            await send({"type": "http.response.start", "status": 200, "headers": fields})
            for number in range(3):
                piece = b"data: %d\n\n" % number
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                between.append(len(told))  # noqa: B023
            await send({"type": "http.response.body"})

        asgi_told(around(app), told, http_scope(headers=ACCEPTS))
        assert between == [2, 3, 4]
        seen = [message.get("body") for kind, message in told if kind == "http.response.body"]
        if not whole:
            assert seen[:3] == [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n"]
        else:
            import zlib

            reader = zlib.decompressobj(31)
            assert [reader.decompress(piece) for piece in seen[:3]] == [
                b"data: 0\n\n",
                b"data: 1\n\n",
                b"data: 2\n\n",
            ]


@against(GZIPS, book_asgi.Gzip)
def test_gzip_q0(around: Any) -> None:
    refused = (b"gzip;q=0", b"gzip; q=0.000, br", b"*;q=0", b"br, gzip;q=0, *", b"gzip;q=none")
    for accepted in refused:
        _, fields, sent = answer_of(around, [TYPE], accepted=accepted)
        assert sent == b"text " * 99, accepted
        assert b"content-encoding" not in dict(fields)
    for accepted in (b"gzip;q=0.001", b"*", b"GZIP", b"x-gzip", b"br;q=1, gzip ; q=0.5"):
        _, fields, sent = answer_of(around, [TYPE], accepted=accepted)
        assert gzip.decompress(sent) == b"text " * 99, accepted


@against(GZIPS, book_asgi.Gzip)
def test_gzip_weak_etag(around: Any) -> None:
    _, fields, _ = answer_of(around, [TYPE, (b"etag", b'"abc"')])
    assert dict(fields)[b"etag"] == b'W/"abc"'
    _, fields, _ = answer_of(around, [TYPE, (b"etag", b'W/"abc"')])
    assert dict(fields)[b"etag"] == b'W/"abc"'


@against(GZIPS, book_asgi.Gzip)
def test_gzip_not_twice(around: Any) -> None:
    _, fields, sent = answer_of(around, [TYPE, (b"content-encoding", b"br")], b"as it is")
    assert sent == b"as it is"
    assert dict(fields)[b"content-encoding"] == b"br"


@against(GZIPS, book_asgi.Gzip)
def test_gzip_vary(around: Any) -> None:
    for accepted in (b"gzip", b""):
        _, fields, _ = answer_of(around, [TYPE], accepted=accepted)
        assert dict(fields)[b"vary"] == b"Accept-Encoding"
    _, fields, _ = answer_of(around, [TYPE, (b"vary", b"Cookie, accept-encoding")])
    assert [value for name, value in fields if name == b"vary"] == [b"Cookie, accept-encoding"]


@against(GZIPS, book_asgi.Gzip)
def test_gzip_206(around: Any) -> None:
    part = (b"content-range", b"bytes 0-4/10")
    _, fields, sent = answer_of(around, [TYPE, part], b"01234", status=206)
    assert sent == b"01234"
    assert b"content-encoding" not in dict(fields)


@against(GZIPS, book_asgi.Gzip)
def test_gzip_no_transform(around: Any) -> None:
    for name, value in (
        (b"cache-control", b"public, No-Transform"),
        (b"content-digest", b"sha-256=:abc=:"),
        (b"content-type", b"image/png"),
    ):
        fields = [(name, value)] if name == b"content-type" else [TYPE, (name, value)]
        _, _, sent = answer_of(around, fields)
        assert sent == b"text " * 99, name


@against(GZIPS, book_asgi.Gzip)
def test_gzip_app_raises_after_start(around: Any) -> None:
    """What was begun is not made up for: the server sees the start, and the exception."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [TYPE]})
        raise apps.Unfinished

    told: Told = []
    with pytest.raises(apps.Unfinished):
        asgi_told(around(app), told, http_scope(headers=ACCEPTS))
    assert [kind for kind, _ in told] == ["http.response.start"]


# ------------------------------------------------------------------ what belongs to others


def classes() -> list[Callable[..., Any]]:
    """What the table of names leads to."""
    from importlib import import_module

    found = []
    for place in NAMES.values():
        module, _, name = place.partition(":")
        found.append(getattr(import_module(f"bare_serve.middleware.{module}"), name))
    return found


@against(classes(), book_wsgi.shared_options)
def test_defaults_are_not_mutable(made: Any) -> None:
    for parameter in inspect.signature(made).parameters.values():
        assert not isinstance(parameter.default, (list, dict, set)), parameter


@against(policy(RequestId()), book_wsgi.request_id)
def test_caller_environ_is_untouched(around: Any) -> None:
    given = environ()
    before = dict(given)
    wsgi_told(around(apps.wsgi), [], given)
    assert given == before


@against(policy(RequestId()), book_asgi.RequestId)
def test_caller_scope_is_untouched(around: Any) -> None:
    given = http_scope()
    before = {**given, "headers": [*given["headers"]]}
    asgi_told(around(apps.asgi), [], given)
    assert given == before
