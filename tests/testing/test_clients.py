"""Requests of both clients, to the same site as WSGI and as ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bare_serve.errors import AppLoadError
from bare_serve.testing import AsyncTestClient, IncompleteAnswer, Response, TestClient
from tests.testing.apps import SITES, asgi_site, wsgi_site


class Blocking:
    """An AsyncTestClient for tests that look the same for both clients."""

    def __init__(self, app: Any, **options: Any) -> None:
        self.client = AsyncTestClient(app, **options)
        self.cookies = self.client.cookies

    def __enter__(self) -> Blocking:
        self.runner = asyncio.Runner()
        self.runner.run(self.client.__aenter__())
        return self

    def __exit__(self, *error: Any) -> None:
        self.runner.run(self.client.__aexit__(*error))
        self.runner.close()

    def __getattr__(self, name: str) -> Callable[..., Response]:
        method = getattr(self.client, name)

        async def called(*args: Any, **more: Any) -> Response:
            return await method(*args, **more)

        return lambda *args, **more: self.runner.run(called(*args, **more))


Make = Callable[..., Any]


@pytest.fixture(params=[f"{site} {kind}" for site in SITES for kind in ("", "async")])
def make(request: pytest.FixtureRequest) -> Make:
    site, _, kind = request.param.partition(" ")
    return lambda **options: (Blocking if kind else TestClient)(SITES[site], **options)


@pytest.fixture
def client(make: Make) -> Iterator[Any]:
    with make() as made:
        yield made


def test_what_the_application_sees(client: Any) -> None:
    response = client.post(
        "/see?a=1",
        params={"b": "2"},
        json={"c": 3},
        headers=[("X-D", "4"), ("x-d", "5")],
        cookies={"e": "6"},
    )
    seen = response.json()
    assert response.status == 200
    assert seen["method"] == "POST"
    assert seen["query"] == "a=1&b=2"
    assert seen["body"] == '{"c":3}'
    headers = seen["headers"]
    assert headers["content-type"] == "application/json"
    assert headers["content-length"] == "7"
    assert headers["x-d"] == "4,5"
    assert headers["cookie"] == "e=6"
    assert headers["host"] == "testserver"
    assert response.url == "http://testserver/see?a=1&b=2"


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options"])
def test_each_method(client: Any, method: str) -> None:
    assert getattr(client, method)("/see").json()["method"] == method.upper()


def test_head_and_other_methods(client: Any) -> None:
    response = client.head("/see")
    assert (response.status, response.content) == (200, b"")
    assert int(response.headers["content-length"]) > 0
    assert client.request("propfind", "/see").json()["method"] == "PROPFIND"


def test_repeated_fields_and_cookies(client: Any) -> None:
    response = client.get("/twice")
    assert response.status == 201
    assert response.headers.all("x-a") == ["1", "2"]
    assert response.cookies == {"a": "1", "b": "2"}
    assert dict(client.cookies) == {"a": "1", "b": "2"}
    assert client.get("/see").json()["headers"]["cookie"] == "a=1"
    sent = client.get("/see", cookies={"a": "mine"}).json()["headers"]["cookie"]
    assert sent == "a=mine"
    assert client.cookies["a"] == "1"


def test_redirects(client: Any, make: Make) -> None:
    assert client.post("/to/see", json=1).status == 307
    response = client.post("/to/to/see", json=1, follow_redirects=True)
    assert response.status == 200
    assert [(each.status, each.url) for each in response.history] == [
        (307, "http://testserver/to/to/see"),
        (307, "http://testserver/to/see"),
    ]
    seen = response.json()
    assert (seen["method"], seen["body"]) == ("POST", "1")
    assert seen["headers"]["cookie"] == "r=1"
    with make(follow_redirects=True) as other:
        assert other.get("/to/see").status == 200
        assert other.get("/to/see", follow_redirects=False).status == 307
        with pytest.raises(ValueError, match="more than 20 redirects, the last one to '/round'"):
            other.get("/round")


def test_an_exception_of_the_application_reaches_the_test(client: Any, make: Make) -> None:
    with pytest.raises(LookupError, match="of the application"):
        client.get("/raise")
    with make(raise_app_exceptions=False) as other:
        response = other.get("/raise")
        assert (response.status, response.text) == (500, "Internal Server Error\n")
        assert response.headers["content-type"] == "text/plain; charset=utf-8"


def test_a_body_in_pieces(client: Any) -> None:
    seen = client.post("/see", content=iter([b"ab", b"", b"cd"])).json()
    assert seen["body"] == "abcd"
    assert "content-length" not in seen["headers"]


def test_defaults_of_a_client(make: Make) -> None:
    options = {"headers": {"X-A": "1"}, "cookies": {"b": "2"}, "host": "shop:8000"}
    with make(**options, scheme="https", root_path="/api") as client:
        response = client.get("/api/see", headers={"x-b": "3"})
        headers = response.json()["headers"]
        assert (headers["x-a"], headers["x-b"], headers["cookie"]) == ("1", "3", "b=2")
        assert headers["host"] == "shop:8000"
        assert response.url == "https://shop:8000/api/see"


def test_a_misspelled_argument(client: Any) -> None:
    with pytest.raises(TypeError, match="no argument 'header'; did you mean headers"):
        client.get("/see", header={})


def test_answers_without_content(client: Any) -> None:
    response = client.get("/nothing")
    assert (response.status, response.content, len(response.headers)) == (204, b"", 0)


# ---------------------------------------------------------------------- what the interfaces hold


def scope_of(**options: Any) -> dict[str, Any]:
    seen: dict[str, Any] = {}

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        seen.update(scope)
        await asgi_site({**scope, "path": "/nothing"}, receive, send)

    url = options.pop("url", "/")
    TestClient(app, **options).get(url)
    return seen


def environ_of(**options: Any) -> dict[str, Any]:
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        seen.update(environ)
        return wsgi_site({**environ, "PATH_INFO": "/nothing"}, start_response)

    url = options.pop("url", "/")
    TestClient(app, **options).get(url)
    return seen


WHERE: dict[str, Any] = {
    "client": ("1.2.3.4", 5),
    "scheme": "https",
    "root_path": "/api",
    "host": "shop",
    "url": "/api/caf%C3%A9?q=1",
}


def test_the_scope_is_the_servers() -> None:
    scope = scope_of(**WHERE, state={"pool": 1})
    assert scope["type"] == "http"
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.3"}
    assert (scope["client"], scope["server"]) == (("1.2.3.4", 5), ("shop", 443))
    assert (scope["scheme"], scope["root_path"]) == ("https", "/api")
    assert (scope["path"], scope["raw_path"]) == ("/api/caf\u00e9", b"/api/caf%C3%A9")
    assert scope["query_string"] == b"q=1"
    assert scope["http_version"] == "1.1"
    assert scope["state"] == {"pool": 1}
    assert (b"host", b"shop") in scope["headers"]
    assert "http.response.pathsend" in scope["extensions"]


def test_the_environ_is_the_servers() -> None:
    environ = environ_of(**WHERE)
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("1.2.3.4", "5")
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("shop", "443")
    assert environ["wsgi.url_scheme"] == "https"
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/api", "/caf\xc3\xa9")
    assert environ["QUERY_STRING"] == "q=1"
    assert environ["HTTP_HOST"] == "shop"


def test_asgi_2_is_served() -> None:
    class App:
        def __init__(self, scope: dict[str, Any]) -> None:
            self.scope = scope

        async def __call__(self, receive: Any, send: Any) -> None:
            assert self.scope["asgi"]["version"] == "2.0"
            await asgi_site(self.scope, receive, send)

    assert TestClient(App).get("/twice").status == 201


def test_what_is_no_application() -> None:
    with pytest.raises(AppLoadError, match="is not callable"):
        TestClient(7)
    with pytest.raises(ValueError, match="interface must be"):
        TestClient(asgi_site, interface="cgi")  # type: ignore[arg-type]
    assert TestClient(lambda *args: wsgi_site(*args), interface="wsgi").get("/twice").status == 201


def test_an_application_that_exits() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise SystemExit(3)

    with pytest.raises(IncompleteAnswer, match=r"GET /: the application called sys.exit\(3\)"):
        TestClient(app).get("/")


def test_a_client_inside_a_running_loop() -> None:
    async def main() -> None:
        assert TestClient(wsgi_site).get("/twice").status == 201
        with pytest.raises(RuntimeError, match="use AsyncTestClient"):
            TestClient(asgi_site).get("/twice")

    asyncio.run(main())


def test_a_wsgi_application_has_no_loop_and_no_websockets() -> None:
    async def nothing() -> None:
        """Is never run."""

    client = TestClient(wsgi_site)
    with pytest.raises(TypeError, match="no event loop"):
        client.run(nothing())
    with pytest.raises(TypeError, match="knows no WebSockets"):
        client.websocket("/")
    with pytest.raises(TypeError, match="knows no WebSockets"):
        AsyncTestClient(wsgi_site).websocket("/")
