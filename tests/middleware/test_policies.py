"""What each policy decides, as tables: requests in, decisions out, through both adapters."""

from __future__ import annotations

import gzip
import logging
import zlib
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from bare_serve.middleware import wrap
from bare_serve.middleware.basic_auth import BasicAuth
from bare_serve.middleware.bearer_auth import BearerAuth
from bare_serve.middleware.cors import Cors
from bare_serve.middleware.gzip import Gzip, compressor
from bare_serve.middleware.https_redirect import HttpsRedirect
from bare_serve.middleware.logging import Logging
from bare_serve.middleware.request_id import RequestId
from bare_serve.middleware.security_headers import SecurityHeaders
from bare_serve.middleware.timing import Timing
from bare_serve.middleware.trace_context import TraceContext
from bare_serve.middleware.trusted_host import TrustedHost
from bare_serve.testing import TestClient, WebSocketRefused
from tests.middleware.apps import BOTH, asgi, wsgi
from tests.middleware.drivers import Told, asgi_told, environ, http_scope, wsgi_told


def says(*keys: str) -> tuple[Any, Any]:
    """A WSGI and an ASGI application that say what stands in environ and scope."""

    def of_environ(given: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        names = {"traceparent": "HTTP_TRACEPARENT", "tracestate": "HTTP_TRACESTATE"}
        return [" ".join(str(given.get(names.get(key, key))) for key in keys).encode()]

    async def of_scope(scope: Any, receive: Any, send: Any) -> None:
        fields = {name.decode(): value.decode() for name, value in scope["headers"]}
        found = " ".join(str(scope.get(key, fields.get(key))) for key in keys)
        head = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": found.encode()})

    return of_environ, of_scope


@pytest.mark.parametrize("level", [1, 6, 9])
@pytest.mark.parametrize("body", [b"", b"a", b"abc " * 9000, bytes(range(256)) * 300])
def test_a_whole_body_is_compressed_as_one_in_pieces(body: bytes, level: int) -> None:
    plain = zlib.compressobj(level, zlib.DEFLATED, 31)
    assert compressor(level)(body, True) == plain.compress(body) + plain.flush()
    for size in (1, 7, 1000, 40000):
        if len(body) // size > 1000:
            continue
        change, reader, got = compressor(level), zlib.decompressobj(31), b""
        for at in range(0, len(body), size):
            got += change(body[at : at + size], False)
            so_far = reader.decompress(got)
            assert so_far == body[at : at + size], "a piece can be read at once"
            assert change(b"", False) == b""
            got = b""
        last = change(b"", True)
        assert reader.decompress(last) == b""
        assert reader.eof


@pytest.mark.parametrize("side", [0, 1], ids=["wsgi", "asgi"])
def test_gzip_says_the_same_with_and_without_fields_that_are_rare(side: int) -> None:
    takes = [("Accept-Encoding", "gzip")]

    def told(*extra: tuple[str, str]) -> dict[str, list[str]]:
        fields = [("Content-Type", "text/plain"), ("Content-Length", "2000"), *extra]

        def app(environ: Any, start_response: Any) -> Any:
            start_response("200 OK", fields)
            return [b"a" * 2000]

        async def app_asgi(scope: Any, receive: Any, send: Any) -> None:
            coded = [(name.lower().encode(), value.encode()) for name, value in fields]
            await send({"type": "http.response.start", "status": 200, "headers": coded})
            await send({"type": "http.response.body", "body": b"a" * 2000})

        with TestClient(wrap((app, app_asgi)[side], Gzip())) as client:
            response = client.get("/", headers=takes)
            assert gzip.decompress(response.content) == b"a" * 2000
            names = ("content-type", "content-encoding", "vary", "content-length")
            return {name: response.headers.all(name) for name in names}

    plain = told()
    assert plain["vary"] == ["Accept-Encoding"]
    assert plain["content-encoding"] == ["gzip"]
    assert plain["content-length"] != ["2000"]
    assert told(("Cache-Control", "max-age=5")) == plain
    assert told(("Vary", "Cookie"))["vary"] == ["Cookie, Accept-Encoding"]
    assert told(("Vary", "Cookie"))["content-encoding"] == ["gzip"]
    assert told(("Vary", "accept-encoding"))["vary"] == ["accept-encoding"]
    assert told(("Vary", "*"))["vary"] == ["*"]


@pytest.mark.parametrize("side", [0, 1], ids=["wsgi", "asgi"])
def test_the_application_sees_the_id(side: int) -> None:
    app = says("request_id", "x-request-id" if side else "HTTP_X_REQUEST_ID")[side]
    with TestClient(wrap(app, RequestId())) as client:
        assert client.get("/", headers=[("X-Request-ID", "abc")]).text == "abc abc"
        response = client.get("/", headers=[("X-Request-ID", "a b")])
        told = response.headers["x-request-id"]
        assert response.text == f"{told} {told}"
    with TestClient(wrap(app, RequestId(trust=False))) as client:
        response = client.get("/", headers=[("X-Request-ID", "abc")])
        assert response.headers["x-request-id"] != "abc"
    with TestClient(wrap(says("request_id")[side], RequestId(header="X-Id"))) as client:
        response = client.get("/", headers=[("X-Id", "abc")])
        assert (response.text, response.headers["x-id"]) == ("abc", "abc")


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.mark.parametrize("side", [0, 1], ids=["wsgi", "asgi"])
def test_a_sound_trace_goes_on_and_any_other_begins(side: int) -> None:
    app = says("trace_id", "traceparent", "tracestate")[side]
    state = ("tracestate", "vendor=1")
    with TestClient(wrap(app, TraceContext())) as client:
        response = client.get("/", headers=[("traceparent", PARENT), state])
        assert response.text == f"{TRACE} {PARENT} vendor=1"
        for wrong in ([], [("traceparent", "00-x")], [("traceparent", PARENT)] * 2):
            trace, parent, kept = client.get("/", headers=[*wrong, state]).text.split()
            assert trace != TRACE
            assert parent.startswith(f"00-{trace}-")
            assert parent.endswith("-00")
            assert kept == "None"
    with TestClient(wrap(app, TraceContext(trust=False))) as client:
        assert TRACE not in client.get("/", headers=[("traceparent", PARENT)]).text


def basic(text: str) -> str:
    return b64encode(text.encode()).decode()


AUTHORIZATIONS = [
    ("", 401),
    ("Basic", 401),
    ("Basic ", 401),
    (f"Basic {basic('ann:secret')}", 200),
    (f"bAsIc   {basic('ann:secret')} ", 200),
    (f"Basic\t{basic('ann:secret')}", 401),
    (f"Basic {basic('ann:secret')}x", 401),
    (f"Basic {basic('ann:secret')[:-1]}", 401),
    (f"Basic {basic('ann:secret')}, Basic x", 401),
    (f"Basic {basic('ann')}", 401),
    (f"Basic {basic(':secret')}", 401),
    (f"Basic {basic('ann:')}", 401),
    (f"Basic {basic('ann:secret:')}", 401),
    (f"Basic {basic('ANN:secret')}", 401),
    (f"Basic {basic('zoé:pässword')}", 200),
    (f"Basic {'A' * 5000}", 401),
    ("Basic \xe9\xe9", 401),
    ("Bearer abc", 401),
    (f"Digest {basic('ann:secret')}", 401),
    (basic("ann:secret"), 401),
]


@BOTH
@pytest.mark.parametrize(("value", "status"), AUTHORIZATIONS)
def test_basic_auth(app: Any, value: str, status: int) -> None:
    policy = BasicAuth(["ann:secret", "zoé:pässword"], realm='The "shop"', exclude=["/é"])
    told: Told = []
    if app is wsgi:
        wsgi_told(wrap(app, policy), told, environ(HTTP_AUTHORIZATION=value))
        assert int(told[0][1][0][:3]) == status
        found = told[0][1][1].get("WWW-Authenticate", "")
    else:
        fields = [(b"authorization", value.encode("latin-1"))]
        asgi_told(wrap(app, policy), told, http_scope(headers=fields))
        assert told[0][1]["status"] == status
        found = dict(told[0][1]["headers"]).get(b"www-authenticate", b"").decode()
    challenge = 'Basic realm="The \\"shop\\"", charset="UTF-8"'
    assert found == (challenge if status == 401 else "")


def test_two_authorizations_are_none() -> None:
    twice = [(b"authorization", f"Basic {basic('ann:secret')}".encode())] * 2
    told: Told = []
    asgi_told(wrap(asgi, BasicAuth(["ann:secret"])), told, http_scope(headers=twice))
    assert told[0][1]["status"] == 401


@pytest.mark.parametrize("side", [0, 1], ids=["wsgi", "asgi"])
def test_the_application_sees_the_user(side: int, tmp_path: Path) -> None:
    file = tmp_path / "users"
    file.write_text("# those of the shop\n\nbob:hidden\n")
    app = says("user", "REMOTE_USER")[side]
    remote = "None" if side else "bob"
    with TestClient(wrap(app, BasicAuth(file=str(file)))) as client:
        value = [("Authorization", f"Basic {basic('bob:hidden')}")]
        assert client.get("/", headers=value).text == f"bob {remote}"
    with TestClient(wrap(app, BearerAuth(["bob:t0ken"]))) as client:
        assert client.get("/", headers=[("Authorization", "bearer t0ken")]).text == f"bob {remote}"
    with TestClient(wrap(app, BearerAuth(verify={"x": "bob"}.get))) as client:
        assert client.get("/", headers=[("Authorization", "Bearer x")]).text == f"bob {remote}"
        wrong = client.get("/", headers=[("Authorization", "Bearer y")])
        assert (
            wrong.headers["www-authenticate"] == 'Bearer realm="Protected", error="invalid_token"'
        )
        missing = client.get("/")
        assert missing.headers["www-authenticate"] == 'Bearer realm="Protected"'


@BOTH
def test_exclusions_are_exact_and_decoded(app: Any) -> None:
    for policy in (
        BasicAuth(["a:b"], exclude=["/health", "/é x"]),
        BearerAuth(["t"], exclude=["/health", "/é x"]),
        TrustedHost(["shop.example"], exclude=["/health", "/é x"]),
    ):
        with TestClient(wrap(app, policy)) as client:
            assert client.get("/health").status == 200
            assert client.get("/%68ealth").status == 200
            assert client.get("/%C3%A9%20x").status == 200
            for near in (
                "/health/",
                "/health/..",
                "/Health",
                "/healthy",
                "//health",
                "/%2568ealth",
            ):
                assert client.get(near).status in (400, 401), near


HOSTS = [
    ("shop.example", True),
    ("SHOP.example:8443", True),
    ("shop.example.", True),
    ("shop.example.:80", True),
    ("a.shop.test", True),
    ("a.b.shop.test", True),
    ("shop.test", False),
    ("evilshop.test", False),
    ("shop.example.evil", False),
    ("evil-shop.example", False),
    ("[::1]:80", True),
    ("[::2]", False),
    ("", False),
    ("shop.example:80:80", False),
    ("shop.example@evil", False),
    ("shop.example, evil", False),
    ("shop.example\tx", False),
    ("shop.example:x", False),
]


@BOTH
@pytest.mark.parametrize(("host", "good"), HOSTS)
def test_trusted_host(app: Any, host: str, good: bool) -> None:
    stack = wrap(app, TrustedHost(["shop.example", "*.shop.test", "[::1]"]))
    told: Told = []
    if app is wsgi:
        wsgi_told(stack, told, environ(HTTP_HOST=host))
        status = int(told[0][1][0][:3])
    else:
        asgi_told(stack, told, http_scope(headers=[(b"host", host.encode())]))
        status = told[0][1]["status"]
    assert status == (200 if good else 400)


def test_hosts_of_websockets() -> None:
    with (
        TestClient(wrap(asgi, TrustedHost(["shop.example"]))) as client,
        pytest.raises(WebSocketRefused),
        client.websocket("/"),
    ):
        pass


@BOTH
def test_https_redirect(app: Any) -> None:
    with TestClient(wrap(app, HttpsRedirect(exclude=["/health"]))) as client:
        response = client.post("/a%20b/%2F?q=%41&r", headers=[("Host", "shop.example:8000")])
        assert response.status == 308
        assert response.headers["location"] == "https://shop.example/a%20b/%2F?q=%41&r"
        assert client.get("//evil.example/x").headers["location"].startswith("https://testserver/")
        assert client.get("/health").status == 200
        for bad in ("evil.example/x", "a@evil.example", ""):
            assert client.get("/", headers=[("Host", bad)]).status == 400
    with TestClient(wrap(app, HttpsRedirect(port=8443))) as client:
        location = client.get("/", headers=[("Host", "[::1]:80")]).headers["location"]
        assert location == "https://[::1]:8443/"
    with TestClient(wrap(app, HttpsRedirect()), scheme="https", host="shop.example") as client:
        assert client.get("/hello").status == 200


@BOTH
def test_security_headers(app: Any) -> None:
    policy = SecurityHeaders(csp="default-src 'self'", frames="", hsts=31536000.0)
    with TestClient(wrap(app, policy), scheme="https", host="shop.example") as client:
        headers = client.get("/hello").headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "default-src 'self'"
        assert headers["strict-transport-security"] == "max-age=31536000"
        assert "x-frame-options" not in headers
    with TestClient(wrap(app, policy)) as client:
        assert "strict-transport-security" not in client.get("/hello").headers
    for wrong in ({"csp": "a\r\nb"}, {"frames": "\u0100"}):
        with pytest.raises(ValueError, match="cannot be sent"):
            SecurityHeaders(**wrong)


def test_the_applications_own_fields_stand() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        fields = [("Content-Type", "text/plain"), ("x-frame-options", "SAMEORIGIN")]
        start_response("200 OK", fields)
        return [b"x"]

    with TestClient(wrap(app, SecurityHeaders())) as client:
        assert client.get("/").headers.all("x-frame-options") == ["SAMEORIGIN"]


A = "https://a.example"
ASKS = ("Access-Control-Request-Method", "PUT")


@BOTH
def test_preflights(app: Any) -> None:
    policy = Cors([A], credentials=True, expose=["X-Total"], max_age=60.0)
    with TestClient(wrap(app, policy)) as client:
        asked = [("Origin", A), ASKS, ("Access-Control-Request-Headers", "x-a, x b, x-c")]
        response = client.request("OPTIONS", "/", headers=asked)
        assert response.status == 204
        assert response.headers["access-control-allow-headers"] == "x-a, x-c"
        assert response.headers["access-control-allow-credentials"] == "true"
        assert response.headers["access-control-max-age"] == "60"
        assert "Origin" in response.headers["vary"]
        refused = client.request("OPTIONS", "/", headers=[("Origin", "https://evil"), ASKS])
        assert refused.status == 403
        assert "access-control-allow-origin" not in refused.headers
        assert "Origin" in refused.headers["vary"]
        simple = client.get("/hello", headers=[("Origin", A)])
        assert simple.headers["access-control-expose-headers"] == "X-Total"


@pytest.mark.parametrize(
    ("origin", "good"),
    [
        (A, True),
        ("null", False),
        ("https://a.example.evil", False),
        ("https://A.example", False),
        ("http://a.example", False),
        ("https://a.example:444", False),
        ("https://x.b.example", True),
        ("https://x.b.example.evil", False),
        ("https://evil/https://x.b.example", False),
        ("https://x.b.example\n", False),
        ("", False),
    ],
)
def test_origins_are_compared_whole(origin: str, good: bool) -> None:
    policy = Cors([A], pattern=r"https://[a-z]+\.b\.example")
    assert policy.allows(origin) is good


def test_all_origins_need_no_vary() -> None:
    with TestClient(wrap(wsgi, Cors(["*"]))) as client:
        response = client.get("/hello", headers=[("Origin", "https://any.example")])
        assert response.headers["access-control-allow-origin"] == "*"
        assert "vary" not in response.headers
    assert Cors(["null"]).allows("null")


def test_origins_of_websockets() -> None:
    stack = wrap(asgi, Cors([A], websockets=True))
    with TestClient(stack, host="shop.example") as client:
        for origin in ([], [("Origin", A)], [("Origin", "http://shop.example")]):
            with client.websocket("/", headers=origin):
                pass
        for origin in ("https://evil.example", "null", "http://shop.example.evil"):
            with (
                pytest.raises(WebSocketRefused) as refused,
                client.websocket("/", headers=[("Origin", origin)]),
            ):
                pass
            assert refused.value.status == 403


def test_breach_is_off_by_default() -> None:
    """What shows secrets is not compressed, unless that is asked for."""

    def app(given: Any, start_response: Any) -> Any:
        cookies = [("Set-Cookie", "a=1")] if given["PATH_INFO"] == "/login" else []
        start_response("200 OK", [("Content-Type", "text/html"), *cookies])
        return [b"secret " * 400]

    takes = ("Accept-Encoding", "gzip")
    secret = ("Authorization", "Bearer x")
    for policy, path, fields, encoded in (
        (Gzip(), "/", [takes], True),
        (Gzip(), "/login", [takes], False),
        (Gzip(), "/", [takes, secret], False),
        (Gzip(secrets=True), "/login", [takes, secret], True),
    ):
        with TestClient(wrap(app, policy)) as client:
            response = client.get(path, headers=fields)
            assert ("content-encoding" in response.headers) is encoded, path
            assert response.headers["vary"] == "Accept-Encoding"


@BOTH
def test_a_small_answer_is_left_alone(app: Any) -> None:
    with TestClient(wrap(app, Gzip())) as client:
        takes = [("Accept-Encoding", "gzip")]
        assert "content-encoding" not in client.get("/hello", headers=takes).headers
        big = client.get("/json", headers=takes).headers
        assert big["content-encoding"] == "gzip"
        assert big["etag"] == 'W/"abc"'


@BOTH
def test_server_timing_is_added(app: Any) -> None:
    with TestClient(wrap(app, Timing(name="total"), Timing())) as client:
        first, second = client.get("/hello").headers.all("server-timing")
        assert first.startswith("app;dur=")
        assert second.startswith("total;dur=")


@BOTH
def test_a_line_for_each_request(app: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "shop.requests")
    stack = wrap(app, Logging(logger="shop.requests", query=False), RequestId())
    with TestClient(stack, client=("1.2.3.4", 5)) as client:
        client.get("/hello?token=secret", headers=[("X-Request-ID", "abc")])
    (line,) = caplog.messages
    assert line.startswith("1.2.3.4 GET /hello 200 6 bytes ")
    assert line.endswith("(id abc)")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Cors(),
        lambda: Cors(["*"], credentials=True),
        lambda: Cors(["*", A]),
        lambda: Cors(["a.example"]),
        lambda: Cors(A),
        lambda: Cors([A], pattern="("),
        lambda: Cors([A], methods=["a\r\nb"]),
        lambda: Gzip(level=0),
        lambda: BasicAuth(),
        lambda: BasicAuth(["a"]),
        lambda: BasicAuth(["a:b"], realm="\n"),
        lambda: BasicAuth(["a:b"], exclude=["x"]),
        lambda: BearerAuth(),
        lambda: BearerAuth(["a b"]),
        lambda: TrustedHost(),
        lambda: TrustedHost(["a/b"]),
        lambda: HttpsRedirect(port=65536),
        lambda: RequestId(header="a b"),
        lambda: Timing(name="a b"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(make: Any) -> None:
    with pytest.raises(ValueError, match=r"[a-z]"):
        make()


@pytest.mark.parametrize("side", [0, 1], ids=["wsgi", "asgi"])
@pytest.mark.parametrize(
    ("asked", "tag"),
    [('W/"abc"', 'W/"abc"'), ('"a", W/"abc"', 'W/"abc"'), ('"abc"', '"abc"'), ('W/"ab"', '"abc"')],
)
def test_a_304_has_the_tag_of_what_the_client_has(side: int, asked: str, tag: str) -> None:
    """A cache looks for the answer that it has by the tag of the 304 (RFC 9111, 4.3.4)."""

    def unchanged(environ: Any, start_response: Any) -> Any:
        start_response("304 Not Modified", [("ETag", '"abc"')])
        return []

    async def unchanged_asgi(scope: Any, receive: Any, send: Any) -> None:
        head = [(b"etag", b'"abc"')]
        await send({"type": "http.response.start", "status": 304, "headers": head})
        await send({"type": "http.response.body", "body": b""})

    fields = [("Accept-Encoding", "gzip"), ("If-None-Match", asked)]
    with TestClient(wrap((unchanged, unchanged_asgi)[side], Gzip())) as client:
        answer = client.get("/", headers=fields)
    assert answer.headers["etag"] == tag
    assert answer.headers.get("vary") == ("Accept-Encoding" if tag[0] == "W" else None)
