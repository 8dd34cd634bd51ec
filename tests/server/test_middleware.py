"""`--middleware`: from its text to a middleware around an application, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bare_serve
from bare_serve.app import LoadedApp, load_object
from bare_serve.config import sources
from bare_serve.errors import AppLoadError, UsageError
from bare_serve.middleware import Exchange, Head, Headers
from bare_serve.server.application import surrounded
from bare_serve.server.middleware import around, check
from bare_serve.testing import TestClient
from tests.middleware.apps import BOTH, asgi, wsgi
from tests.support import RawClient, serve

OWN = """
class Tenant:
    def __init__(self, name: str, limit: "Size" = 3, days: int = 1, tags: "Iterable[str]" = ()):
        self.said = f"{name} {limit} {days} {','.join(tags)}"
    def begin(self, request):
        request.put("user", self.said)

made = Tenant("made")

def classic(app, word="none", number=0, switch=False):
    def inner(environ, start_response):
        environ = {**environ, "user": f"{word} {number + 1} {switch}"}
        return app(environ, start_response)
    return inner

class Pure:
    def __init__(self, app, word="none"):
        self.app, self.word = app, word
    async def __call__(self, scope, receive, send):
        await self.app({**scope, "user": self.word}, receive, send)

def broken(app):
    raise LookupError("no such tenant")

def nothing(app):
    return None

number = 7
"""
CASES: dict[str, Callable[..., Any]] = {"wsgi": wsgi, "asgi": asgi}


def user_wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(environ.get("user")).encode()]


async def user_asgi(scope: Any, receive: Any, send: Any) -> None:
    fields = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": str(scope.get("user")).encode()})


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., LoadedApp]:
    """Puts middleware around an application, as a worker does."""
    name = f"own_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)

    def make(app: Any, *middleware: Any) -> LoadedApp:
        texts = [each.replace("own:", f"{name}:") for each in middleware]
        asked = {"middleware": texts, "app_dir": str(tmp_path)}
        settings = sources.of_arguments(asked, tmp_path, "run")
        check(settings)
        return around(load_object(app), settings)

    return make


@pytest.mark.parametrize(
    ("app", "text", "said"),
    [
        (user_wsgi, "own:Tenant:name=a", "a 3 1 "),
        (user_asgi, "own:Tenant:name=a,limit=1KiB,days=2,tags=x,y,tags=z", "a 1024 2 x,y,z"),
        (user_wsgi, "own:made", "made 3 1 "),
        (user_wsgi, "own:classic", "none 1 False"),
        (user_wsgi, "own:classic:word=a,b,number=4,switch=true", "a,b 5 True"),
        (user_asgi, "own:Pure:word=a", "a"),
    ],
)
def test_ones_own(made: Any, app: Any, text: str, said: str) -> None:
    with TestClient(made(app, text).app) as client:
        assert client.get("/").text == said


@pytest.mark.parametrize(
    ("app", "text", "error", "message"),
    [
        (wsgi, "gzp", UsageError, "did you mean gzip"),
        (wsgi, "nonsense", UsageError, "there are basic-auth, "),
        (wsgi, "gzip:lvl=1", UsageError, "no option lvl; did you mean level"),
        (wsgi, "gzip:xyz=1", UsageError, "it has minimum-size, level, types, secrets"),
        (wsgi, "gzip:level=12", UsageError, "level is from 1 to 9, not 12"),
        (wsgi, "gzip:level=1,level=2", UsageError, "level is given twice"),
        (wsgi, "gzip:minimum-size=much", UsageError, "minimum-size: 'much' is not a size"),
        (wsgi, "gzip:secrets=perhaps", UsageError, "secrets: 'perhaps' is not yes or no"),
        (wsgi, "timing:slow=long", UsageError, "slow: 'long' is not a duration"),
        (wsgi, "cors", UsageError, "origins: name at least one"),
        (wsgi, "cors:origins=*,credentials=yes", UsageError, r"\* cannot stand together"),
        (wsgi, "cors:origins=https://a.example/", UsageError, "write scheme, host and a port"),
        (wsgi, "basic-auth", UsageError, "users: name at least one"),
        (wsgi, "basic-auth:users=ann", UsageError, "number 1 is not name:password"),
        (wsgi, "basic-auth:file=/no/such", UsageError, "cannot read /no/such"),
        (wsgi, "bearer-auth:tokens=a b", UsageError, "number 1 is none that a client"),
        (wsgi, "trusted-host:hosts=http://a", UsageError, "'http://a' is none"),
        (wsgi, "https-redirect:port=0", UsageError, "port is from 1 to 65535"),
        (wsgi, "request-id:header=a b", UsageError, "'a b' is no name of a header"),
        (wsgi, "own:nothing_here", AppLoadError, "has no attribute 'nothing_here'"),
        (wsgi, "no_such_module:x", AppLoadError, "There is no mod"),
        (wsgi, "own:number", UsageError, "int is no middleware"),
        (wsgi, "own:broken", AppLoadError, "raised LookupError while it was put around"),
        (wsgi, "own:nothing", UsageError, "returns an application, not NoneType"),
        (wsgi, "own:Tenant", UsageError, "missing a required argument: 'name'"),
        (wsgi, "own:made:name=a", UsageError, "made already, and takes no options"),
        (wsgi, "own:classic:wrod=a", UsageError, "no option wrod; did you mean word"),
        (wsgi, "own:Pure", UsageError, "middleware for ASGI, and the application is WSGI"),
        (asgi, "own:classic", UsageError, "middleware for WSGI, and the application is ASGI"),
    ],
)
def test_what_is_refused(made: Any, app: Any, text: str, error: Any, message: str) -> None:
    with pytest.raises(error, match=message) as refused:
        made(app, text)
    assert str(refused.value).startswith("middleware "), refused.value


def test_ready_made_classes_of_frameworks(made: Any) -> None:
    with TestClient(made(asgi, "starlette.middleware.gzip:GZipMiddleware").app) as client:
        assert client.get("/hello").text == "hello\n"
    fixed = made(user_wsgi, "werkzeug.middleware.proxy_fix:ProxyFix:x_for=1,x-host=1")
    with TestClient(fixed.app) as client:
        assert client.get("/", headers=[("X-Forwarded-For", "1.2.3.4")]).status == 200
    with pytest.raises(UsageError, match="middleware for ASGI"):
        made(wsgi, "starlette.middleware.gzip:GZipMiddleware")


@BOTH
def test_the_first_is_outermost(made: Any, app: Any) -> None:
    outside = made(app, "request-id", "trusted-host:hosts=other.example", "timing").app
    with TestClient(outside) as client:
        response = client.get("/")
        assert response.status == 400
        assert "x-request-id" in response.headers
        assert "server-timing" not in response.headers


def test_an_asgi_2_application_is_made_asgi_3(made: Any) -> None:
    def app(scope: Any) -> Any:
        async def run(receive: Any, send: Any) -> None:
            await user_asgi(scope, receive, send)

        return run

    loaded = made(app, "own:Tenant:name=two")
    assert loaded.interface == "asgi"
    with TestClient(loaded.app) as client:
        assert client.get("/").text == "two 3 1 "


def test_without_middleware_nothing_is_wrapped(tmp_path: Path) -> None:
    loaded = load_object(wsgi)
    assert surrounded(loaded, sources.of_arguments({}, tmp_path, "run")) is loaded


def test_a_server_inside_a_program() -> None:
    class Said(Exchange):
        def begin(self, request: Head) -> Exchange:
            return self

        def start(self, status: int, headers: Headers) -> None:
            headers.set("X-Said", "yes")

    settings = {"port": 0, "access_log": "off", "middleware": [Said(), "request-id"]}
    for app in (wsgi, asgi):
        with (
            bare_serve.Server(app, **settings) as server,
            RawClient(server.addresses[0]) as client,
        ):
            client.send(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
            head = client.read_until(b"\r\n\r\n").lower()
            assert b"x-said: yes" in head
            assert b"x-request-id: " in head
    with pytest.raises(UsageError, match="no middleware of that name"):
        bare_serve.Server(wsgi, middleware=["nothing"])


APP = """
import sys, threading
go_on = threading.Event()
def app(environ, start_response):
    if environ["PATH_INFO"] == "/fail":
        raise LookupError("of the test")
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/modules":
        return [",".join(sorted(n for n in sys.modules if "middleware" in n)).encode()]
    if environ["PATH_INFO"] == "/go-on":
        go_on.set()
    if environ["PATH_INFO"] == "/stream":
        return stream()
    return [environ.get("request_id", "none").encode()]

def stream():
    yield b"first"
    go_on.wait(60)
    yield b"second"
"""


def test_a_server_with_middleware(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "bare-serve.toml").write_text('middleware = ["request-id", "timing"]\n')
    with serve("shop:app", "--log-format", "json", "--preload", cwd=tmp_path) as server:
        server.wait_for_output('"middleware"')
        with RawClient(server.address) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-Request-ID: bad id\r\n\r\n")
            head = client.read_until(b"\r\n\r\n").lower()
            told = head.partition(b"x-request-id: ")[2].partition(b"\r\n")[0].decode()
            assert len(told) == 32
            client.read_until(told.encode())
            client.send(b"GET /fail HTTP/1.1\r\nHost: x\r\nX-Request-ID: mine\r\n\r\n")
            head = client.read_until(b"Internal Server Error\n")
            assert b" 500 " in head
            assert b"X-Request-ID: mine" in head
            assert b"Server-Timing: app;dur=" in head
            # The connection goes on, and the first piece of a stream is not held back.
            client.send(b"GET /stream HTTP/1.1\r\nHost: x\r\nX-Request-ID: mine\r\n\r\n")
            assert b"X-Request-ID: mine" in client.read_until(b"first")
            with RawClient(server.address) as other:
                assert other.request("GET", "/go-on").status == 200
            client.read_until(b"second")
        server.wait_for_output(f'"request_id":"{told}"')
        server.wait_for_output("LookupError: of the test")
        lines = [json.loads(line) for line in server.output.splitlines() if '"/fail"' in line]
        assert [line["request_id"] for line in lines if "request_id" in line] == ["mine"]


HOOKS = """
import sys
from pathlib import Path

def tell(name):
    modules = [each for each in sys.modules if "middleware" in each or each.endswith(".direct")]
    Path(name).write_text(" ".join(sorted(modules)))

def on_starting(facts):
    tell("master")

def worker_exit(facts):
    tell("worker")
"""
ASGI = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x"})
"""


@pytest.mark.parametrize("source", [APP, ASGI], ids=["wsgi", "asgi"])
@pytest.mark.parametrize("static", [False, True])
def test_a_server_without_middleware_imports_nothing_of_it(
    source: str, static: bool, tmp_path: Path
) -> None:
    """Neither master nor worker; so the worker's classes are the plain ones as well."""
    (tmp_path / "shop.py").write_text(source)
    (tmp_path / "hooked.py").write_text(HOOKS)
    options = ("--static", f"/assets={tmp_path}") if static else ()
    with serve("shop:app", "--hooks", "hooked", *options, cwd=tmp_path) as server:
        with RawClient(server.address) as client:
            assert client.request("GET", "/").status == 200
        server.stop()
    found = {name: (tmp_path / name).read_text().split() for name in ("master", "worker")}
    if static:
        assert "bare_serve.middleware.static_direct" in found["worker"]
        kind = "wsgi" if source is APP else "asgi"
        assert f"bare_serve.{kind}.direct" in found["worker"]
    else:
        assert found == {name: ["bare_serve.config.middleware"] for name in found}
