"""What a request says, by both interfaces; and what it may not say."""

import io
import json
from typing import Any

import pytest

import bare_serve.bare
from bare_serve.bare import Bare, Json, Request, Response
from bare_serve.testing import TestClient
from tests.bare.book import roll
from tests.bare.book import wsgi as book_wsgi
from tests.bare.versions import against, both, client


class Ours:
    """A WSGI application of one handler, as the textbooks' version makes one."""

    Response = Response

    @staticmethod
    def handler(function: Any) -> Any:
        app = Bare()

        def shown(request: Request) -> Any:
            return function(request)

        for method in ("GET", "POST"):
            app.route("/{rest:path}", [method])(shown)
        return app.wsgi


def environ(**given: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/x",
        "QUERY_STRING": "",
        "SERVER_NAME": "here",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(b""),
    }
    return {**found, **given}


def call(app: Any, given: dict[str, Any]) -> tuple[int, bytes]:
    seen: list[str] = []
    result = app(given, lambda status, headers, error=None: seen.append(status))
    body = b"".join(result)
    if hasattr(result, "close"):
        result.close()
    return int(seen[0][:3]), body


@against()
def test_bad_json_400(lib: Any) -> None:
    app = lib.Bare()

    @app.post("/")
    async def echo(request: Any) -> Any:
        return await request.json()

    with TestClient(app, raise_app_exceptions=False) as tester:
        for body in (b"{", b"", b"[NaN]", b"[" * 100_000, b"1" * 5000, b'{"a":1}x'):
            answer = tester.post("/", content=body)
            assert answer.status == 400, body[:20]
            assert "not JSON" in answer.json()["error"]
        assert tester.post("/", content=b"[1]").json() == [1]


@against()
def test_bad_utf8_400(lib: Any) -> None:
    app = lib.Bare()

    @app.post("/")
    async def echo(request: Any) -> Any:
        return [await request.text()]

    answer = TestClient(app).post("/", content=b"ab\xff")
    assert answer.status == 400
    assert "byte 2" in answer.json()["error"]


@against(Ours, book_wsgi)
def test_chunked_body_is_read(lib: Any) -> None:
    app = lib.handler(lambda request: [request.content.decode()])
    given = environ(**{"wsgi.input": io.BytesIO(b"hello"), "wsgi.input_terminated": True})
    assert call(app, given) == (200, b'["hello"]')


@against(Ours, book_wsgi)
def test_negative_length_400(lib: Any) -> None:
    app = lib.handler(lambda request: [request.content.decode()])
    for length in ("-4", "zz", "+1", "1_0", "9" * 30):
        given = environ(CONTENT_LENGTH=length, **{"wsgi.input": io.BytesIO(b"abcdefgh")})
        assert call(app, given)[0] == 400, length


@against(Ours, book_wsgi)
def test_url_has_script_name_and_quotes(lib: Any) -> None:
    app = lib.handler(lambda request: [request.url])
    given = environ(
        SCRIPT_NAME="/shop",
        PATH_INFO="/\u00c3\u00a4 b?",
        QUERY_STRING="q=%20",
        HTTP_HOST="here.example:8000",
    )
    assert call(app, given)[1] == b'["http://here.example:8000/shop/%C3%A4%20b%3F?q=%20"]'
    assert call(app, environ(SERVER_PORT="81"))[1] == b'["http://here:81/x"]'
    assert call(app, environ())[1] == b'["http://here/x"]'


@against()
def test_repeated_headers_kept(lib: Any) -> None:
    app = lib.Bare()

    @app.get("/")
    async def echo(request: Any) -> Any:
        return [request.header("x-a"), request.header("cookie")]

    fields = [("X-A", "1"), ("x-a", "2"), ("cookie", "a=1"), ("cookie", "b=2")]
    assert TestClient(app).get("/", headers=fields).json() == ["1, 2", "a=1; b=2"]


@both
def test_each_field_with_a_name_in_any_case(interface: str) -> None:
    app = Bare()

    @app.get("/")
    def page(request: Request) -> Any:
        return [request.headers.all("X-A"), request.headers.all("x-a"), request.headers.all("X-B")]

    answer = client(app, interface).get("/", headers=[("X-A", "1")])
    assert answer.json() == [["1"], ["1"], []]


# ------------------------------------------------------------------ both interfaces


def facts_app() -> Bare:
    app = Bare()

    @app.route("/a {x}", ["GET", "POST"])
    def facts(request: Request) -> Any:
        return {
            "method": request.method,
            "path": request.path,
            "params": request.path_params,
            "query": request.query("q", "none"),
            "all": request.query_params,
            "string": request.query_string,
            "type": request.content_type,
            "cookies": request.cookies,
            "client": request.client,
            "scheme": request.scheme,
            "host": request.host,
            "url": request.url,
            "content": request.content.decode(),
            "headers": {
                name: request.headers[name] for name in request.headers if name != "user-agent"
            },
            "len": "x-a" in request.headers and "X-B" not in request.headers,
            "id": request.request_id,
        }

    return app


def test_both_interfaces_tell_the_same() -> None:
    seen = []
    for interface in ("asgi", "wsgi"):
        answer = client(facts_app(), interface, client=("10.0.0.1", 7), scheme="https").post(
            "/a%20%C3%A4?q=1&q=2&e=",
            content=b"body",
            headers=[
                ("X-A", "\u00e9"),
                ("Cookie", 'a=1; b="2"; a=3; junk; =x'),
                ("X-Request-Id", "i"),
            ],
        )
        seen.append(answer.json())
    assert seen[0] == seen[1]
    told = seen[0]
    assert told["path"] == "/a \u00e4"
    assert told["params"] == {"x": "\u00e4"}
    assert (told["query"], told["all"]) == ("1", {"q": ["1", "2"], "e": [""]})
    assert told["cookies"] == {"a": "1", "b": "2"}
    assert told["client"] == ["10.0.0.1", 7]
    assert told["content"] == "body"
    assert told["url"].startswith("https://")
    assert told["url"].endswith("/a%20%C3%A4?q=1&q=2&e=")
    assert told["id"] == "i"


@both
def test_a_query_that_cannot_be_decoded(interface: str) -> None:
    tester = client(facts_app(), interface)
    for query in ("%ff", "&".join(["a=1"] * 1001)):
        answer = tester.get(f"/a%20b?{query}")
        assert (answer.status, answer.json()["where"]) == (400, "query")


@both
def test_a_body_has_a_limit(interface: str) -> None:
    app = Bare(max_body=10)
    calls: list[bytes] = []

    @app.post("/small")
    def small(body: bytes) -> str:
        calls.append(body)
        return str(len(body))

    @app.post("/large", max_body=100)
    async def large(body: bytes) -> str:
        return str(len(body))

    @app.post("/none")
    def none() -> str:
        return "not read"

    tester = client(app, interface)
    assert tester.post("/small", content=b"x" * 10).text == "10"
    refused = tester.post("/small", content=b"x" * 11)
    assert (refused.status, refused.json()["where"]) == (413, "body")
    in_pieces = tester.post("/small", content=iter([b"x" * 6, b"x" * 6]))
    assert in_pieces.status == 413
    assert tester.post("/large", content=b"x" * 100).text == "100"
    assert tester.post("/none", content=b"x" * 1000).text == "not read"
    assert calls == [b"x" * 10]


@both
def test_a_body_is_there_for_plain_and_async_handlers(interface: str) -> None:
    app = Bare()

    @app.post("/plain")
    def plain(request: Request) -> Any:
        return request.content.decode()

    @app.post("/async")
    async def waiting(request: Request) -> Any:
        return [await request.body() == request.content, await request.json(), await request.text()]

    tester = client(app, interface)
    assert tester.post("/plain", content=b"[1]").text == "[1]"
    assert tester.post("/async", content=b"[1]").json() == [True, [1], "[1]"]
    assert tester.post("/async", content=iter([b"[", b"1", b"]"])).json() == [True, [1], "[1]"]


def test_a_body_that_is_broken_off() -> None:
    app = Bare()
    called: list[bytes] = []

    @app.post("/x")
    def echo(body: bytes) -> None:
        called.append(body)

    given = environ(CONTENT_LENGTH="10", **{"wsgi.input": io.BytesIO(b"abc")})
    assert call(app.wsgi, given)[0] == 400

    async def left() -> list[Any]:
        sent: list[Any] = []
        events = [
            {"type": "http.request", "body": b"a", "more_body": True},
            {"type": "http.disconnect"},
        ]

        async def receive() -> Any:
            return events.pop(0)

        async def send(event: Any) -> None:
            sent.append(event)

        scope = {"type": "http", "method": "POST", "path": "/x", "headers": []}
        await app(scope, receive, send)
        return sent

    import asyncio

    assert asyncio.run(left()) == []
    assert called == []


def test_a_client_that_leaves_its_body_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    app = Bare()
    app.post("/x")(lambda request: None)

    class Left(OSError):
        """The server's own exception, which it knows."""

    class Input:
        def read(self, size: int) -> bytes:
            raise Left

    with pytest.raises(Left):
        call(app.wsgi, environ(CONTENT_LENGTH="10", **{"wsgi.input": Input()}))
    assert not caplog.records


def test_the_least_that_a_scope_has() -> None:
    """Servers and tests may leave out what the specification calls optional."""
    import asyncio

    async def run() -> list[Any]:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request"}

        async def send(event: Any) -> None:
            sent.append(event)

        app = Bare()

        @app.get("/")
        async def page(request: Request) -> Any:
            return [request.url, request.client, request.query("a"), request.state]

        await app({"type": "http", "method": "GET", "path": "/", "headers": []}, receive, send)
        return sent

    sent = asyncio.run(run())
    assert json.loads(sent[1]["body"]) == ["http://localhost/", None, "", {}]


def test_json_has_a_type_of_its_own() -> None:
    from typing import Annotated

    app = Bare()

    @app.post("/")
    def echo(data: Annotated[Any, Json]) -> Any:
        return [data]

    tester = TestClient(app)
    for kind in ("application/json", "Application/JSON; charset=utf-8", "application/ld+json"):
        assert tester.post("/", content=b"1", headers={"content-type": kind}).json() == [1]
    for kind in ("text/plain", "application/jsonp", "text/json+json", ""):
        answer = tester.post("/", content=b"1", headers={"content-type": kind})
        assert (answer.status, answer.json()["where"]) == (415, "content-type")


@pytest.mark.parametrize("name", bare_serve.bare.__all__)
def test_each_public_name_is_there(name: str) -> None:
    assert getattr(bare_serve.bare, name) is not None


def test_a_request_has_no_attribute_but_its_facts() -> None:
    import copy

    request = Request({"type": "http", "method": "GET", "path": "/x", "headers": []}, Bare(), {})
    assert not hasattr(request, "colour")
    assert copy.copy(request).path == request.path == "/x"


def test_a_name_that_is_none() -> None:
    assert not hasattr(bare_serve.bare, "Flask")
    assert roll.Bare is not Bare
