"""The router: what a path leads to, whatever else there is, and in whatever order it was added."""

from __future__ import annotations

import itertools
import re
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bare_serve.bare import Bare
from bare_serve.bare.router import CONVERTERS, Route, Router
from bare_serve.testing import TestClient
from tests.bare.book import roll
from tests.bare.book import wsgi as book_wsgi
from tests.bare.versions import against


def app_with(lib: Any, *paths: str) -> Any:
    """An application that answers each path by its template and its parameters."""
    app = lib.Bare()
    for path in paths:
        app.get(path)(_bound(path))
    return app


def _bound(path: str) -> Any:
    async def handler(request: Any) -> Any:
        return {"at": path, **request.path_params}

    return handler


def get(app: Any, path: str) -> Any:
    answer = TestClient(app).get(path)
    return answer.json() if answer.status == 200 else answer.status


@against()
def test_literals_are_escaped(lib: Any) -> None:
    app = app_with(lib, "/a.b/{x}")
    assert get(app, "/a.b/1") == {"at": "/a.b/{x}", "x": "1"}
    assert get(app, "/aXb/1") == 404


@against()
def test_newline_does_not_match(lib: Any) -> None:
    app = app_with(lib, "/a.b/{x:int}", "/c/{x}", "/d")
    assert [get(app, path) for path in ("/a.b/1%0A", "/c/1%0A", "/c/%0A", "/d%0A")] == [404] * 4


@against()
def test_unknown_converter_is_refused(lib: Any) -> None:
    with pytest.raises(ValueError, match="unknown converter 'number'"):
        lib.Bare().get("/{x:number}")(_bound(""))


@against()
def test_int_is_converted(lib: Any) -> None:
    app = app_with(lib, "/{x:int}")
    assert get(app, "/7") == {"at": "/{x:int}", "x": 7}
    assert [get(app, f"/{x}") for x in ("-1", "1.0", "%D9%A3", "9" * 19, "")] == [404] * 5


@against()
def test_specific_before_general(lib: Any) -> None:
    paths = ("/{rest:path}", "/{x}", "/{x:slug}", "/{x:int}", "/v{x}.html", "/new", "/new/{x}")
    paths = tuple(path for path in paths if "path" not in path or lib.__name__ == Bare.__module__)
    for order in itertools.islice(itertools.permutations(paths), 0, None, 97):
        app = app_with(lib, *order)
        assert get(app, "/new")["at"] == "/new"
        assert get(app, "/7")["at"] == "/{x:int}"
        assert get(app, "/a-b")["at"] == "/{x:slug}"
        assert get(app, "/a.b")["at"] == "/{x}"
        assert get(app, "/v1.html") == {"at": "/v{x}.html", "x": "1"}


def test_the_rest_of_a_path() -> None:
    import bare_serve.bare as lib

    app = app_with(lib, "/f/{rest:path}", "/f/{x}/edit", "/f/new")
    assert get(app, "/f/a/b/c") == {"at": "/f/{rest:path}", "rest": "a/b/c"}
    assert get(app, "/f/a/edit")["at"] == "/f/{x}/edit"
    assert get(app, "/f/new/edit/x")["rest"] == "new/edit/x"
    assert get(app, "/f//etc/passwd") == 404, "joined to a folder it would leave the folder"
    assert get(app, "/f/") == get(app, "/f") == 404


def test_a_method_that_a_specific_path_lacks_falls_to_the_general_one() -> None:
    app = Bare()

    @app.get("/tasks/new")
    async def form() -> str:
        return "form"

    @app.delete("/tasks/{x}")
    async def delete(x: str) -> str:
        return x

    assert TestClient(app).delete("/tasks/new").text == "new"
    assert TestClient(app).put("/tasks/new").headers["allow"] == "DELETE, GET, HEAD, OPTIONS"


@against()
def test_405_allow_has_head_and_options(lib: Any) -> None:
    client = TestClient(app_with(lib, "/a", "/b/{x}"))
    for path in ("/a", "/b/1"):
        refused = client.post(path)
        assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
        told = client.options(path)
        assert (told.status, told.headers["allow"], told.content) == (
            204,
            "GET, HEAD, OPTIONS",
            b"",
        )
        head = client.head(path)
        assert (head.status, head.content) == (200, b"")
        assert head.headers["content-length"] == client.get(path).headers["content-length"]


@against(book=SimpleNamespace(Bare=roll.Redirecting))
def test_slash_redirect_keeps_query(lib: Any) -> None:
    client = TestClient(app_with(lib, "/a", "/b/", "/c/{x}"))
    for asked, location in {
        "/a/?x=1&y=%20": "/a?x=1&y=%20",
        "/b": "/b/",
        "/c/%C3%A4%3F/": "/c/%C3%A4%3F",
    }.items():
        answer = client.get(asked)
        assert (answer.status, answer.headers["location"]) == (308, location)


@against(book=SimpleNamespace(Bare=roll.Redirecting))
def test_double_slash_is_no_open_redirect(lib: Any) -> None:
    client = TestClient(app_with(lib, "/{x}", "/{x}/{y}"))
    for path in ("//evil.example/", "//evil.example", "///evil.example/", "/%5Cevil.example/"):
        answer = client.get(path)
        location = answer.headers.get("location", "/")
        assert not location.startswith(("//", "/\\")), path


@against()
def test_url_round_trips(lib: Any) -> None:
    app = lib.Bare()

    @app.get("/{year:int}/{name}.{kind:slug}/{rest:path}")
    async def page(request: Any) -> Any:
        return request.path_params

    given = {"year": 2026, "name": "\u00e4 ?#%", "kind": "html", "rest": "a/b c"}
    assert get(app, app.url("page", **given)) == given
    with pytest.raises(LookupError):
        app.url("nothing")
    for wrong in (
        {**given, "year": -1},
        {**given, "name": "a/b"},
        {**given, "kind": ""},
        {**given, "rest": "/etc"},
        {**given, "rest": "a/../b"},
        {**given, "rest": "."},
        {**given, "more": 1},
        {"year": 1},
    ):
        with pytest.raises(ValueError, match=r"page|path"):
            app.url("page", **wrong)


# ------------------------------------------------------------------ mounts


class Ours:
    @staticmethod
    def mounted(mounts: dict[str, Any]) -> Any:
        app = Bare()
        for prefix, target in mounts.items():
            app.mount(prefix, target)
        return app.wsgi


class Books:
    mounted = book_wsgi.Mount


def echo(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['SCRIPT_NAME']}|{environ['PATH_INFO']}".encode("latin-1")]


@against(Ours, Books)
def test_mount_needs_segment_boundary(lib: Any) -> None:
    client = TestClient(lib.mounted({"/api": echo}))
    assert client.get("/api/x").text == "/api|/x"
    assert client.get("/apiv2/x").status == 404


@against(Ours, Books)
def test_root_mount_keeps_slash(lib: Any) -> None:
    client = TestClient(lib.mounted({"/": echo, "/api/": echo}))
    assert client.get("/foo").text == "|/foo"
    assert client.get("/api/foo").text == "/api|/foo"


@against(Ours, Books)
def test_mount_is_validate_clean(lib: Any) -> None:
    from wsgiref.validate import validator

    client = TestClient(lib.mounted({"/": validator(echo), "/api": validator(echo)}))
    for path in ("/", "/foo", "/api", "/api/", "/api/%C3%A4"):
        assert client.get(path).status == 200, path


def test_a_mount_of_the_other_interface_says_so() -> None:
    async def other(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError

    app = Bare()
    app.mount("/a", other)
    with pytest.raises(RuntimeError, match=r"mounted at '/a' speaks ASGI.*served by WSGI"):
        TestClient(app.wsgi).get("/a/x")
    with pytest.raises(TypeError, match="mounted at '/b' is not callable"):
        app.mount("/b", 5)
    with pytest.raises(ValueError, match="is already"):
        app.mount("/a/", other)
    with pytest.raises(ValueError, match="has no parameters"):
        app.mount("/{x}", other)
    with pytest.raises(ValueError, match="begin with '/'"):
        app.mount("a", other)


@pytest.mark.parametrize("interface", ["asgi", "wsgi"])
def test_an_application_below_another(interface: str) -> None:
    inner, outer = Bare(), Bare()
    life: list[str] = []
    inner.on_startup(lambda: life.append("start"))
    inner.on_shutdown(lambda: life.append("end"))

    @inner.get("/x/{n:int}")
    def page(request: Any, n: int) -> Any:
        return {"path": request.path, "root": request.root_path, "url": request.url, "n": n}

    outer.mount("/in ner", inner)

    @outer.get("/in ner/fixed")
    def fixed() -> str:
        return "outer"

    with TestClient(outer if interface == "asgi" else outer.wsgi) as client:
        answer = client.get("/in%20ner/x/5?q=1").json()
        assert answer["path"] == "/x/5"
        assert answer["root"] == "/in ner"
        assert answer["url"].endswith("/in%20ner/x/5?q=1")
        assert client.get("/in%20ner/fixed").text == "outer"
        assert client.get("/in%20ner/y").status == 404
        redirect = client.get("/in%20ner/x/5/")
        assert redirect.headers["location"] == "/in%20ner/x/5"
    if interface == "asgi":
        assert life == ["start", "end"]


# ------------------------------------------------------------------ templates

REFUSED = {
    "a": "must begin with '/'",
    "/{x}/{x}": "redefinition of group name 'x'",
    "/{x:path}/y": "not the last segment",
    "/a{x:path}": "not the last segment",
    "/{x:path}.{y}": "not the last segment",
    "/{x:path}/{y:path}": "not the last segment",
    "/{1x}": "bad character in group name '1x'",
    "/{}": "missing group name",
    "/{x": "close each brace",
    "/x}": "close each brace",
    "/{x:}}": "close each brace",
}


@pytest.mark.parametrize("template", REFUSED)
def test_what_is_no_template(template: str) -> None:
    with pytest.raises(ValueError, match=re.escape(REFUSED[template])):
        Route("GET", template)


def test_no_method_of_a_client_reaches_a_websocket() -> None:
    app = Bare()

    @app.websocket("/ws")
    async def chat(ws: Any) -> None:
        raise AssertionError

    (route,) = app.routes()
    assert re.search(r"[^!#$%&'*+\-.^_`|~0-9A-Za-z]", route.method), "no token is its method"
    for method in ("GET", "WEBSOCKET", "websocket"):
        answer = TestClient(app).request(method, "/ws")
        assert (answer.status, answer.headers.get("allow")) == (404, None)


def test_a_path_that_is_taken() -> None:
    app = Bare()
    app.get("/a/{x}")(_bound(""))
    app.post("/a/{x}")(_bound(""))
    with pytest.raises(
        ValueError, match=r"GET /a/\{y\} of .*test_router.py:\d+ is already /a/\{x\}"
    ):
        app.get("/a/{y}")(_bound(""))


# ------------------------------------------------------------------ beside a naive matcher

PIECES = ["a", "b", "ab", "1", "23", "a-b", "a.b", "v1", "x y", "\u00e4"]
KINDS = ["{%s}", "{%s:int}", "{%s:slug}", "v{%s}", "{%s:int}.b", "{%s}-b", "a.{%s}"]
segments = st.sampled_from([*PIECES, *KINDS])
templates = st.builds(
    lambda parts, rest: "".join(
        "/" + (part % f"p{n}" if "%s" in part else part) for n, part in enumerate([*parts, *rest])
    ),
    st.lists(segments, min_size=1, max_size=3),
    st.sampled_from([[], [], [], ["{rest:path}"]]),
)
paths = st.lists(st.sampled_from([*PIECES, "", "c", "v1.b"]), min_size=1, max_size=4).map(
    lambda parts: "/" + "/".join(parts)
)


class Naive:
    """Each template as a pattern for the whole path; of those that match the most specific one."""

    def __init__(self) -> None:
        self.routes: list[tuple[re.Pattern[str], Any, Route]] = []

    def add(self, route: Route) -> None:
        pattern, rank = "", []
        for raw in route.template[1:].split("/"):
            pattern += "/"
            end, text, widest = 0, 0, 0
            for found in re.finditer(r"\{(\w+):?(\w*)\}", raw):
                kind = found[2] or "str"
                pattern += re.escape(raw[end : found.start()]) + f"({CONVERTERS[kind][0]})"
                text += found.start() - end
                widest = max(widest, ["int", "slug", "str", "path"].index(kind))
                end = found.end()
            pattern += re.escape(raw[end:])
            rank.append((end > 0, -(text + len(raw) - end), widest))
        # Of two that are alike the one whose text is first.
        alike = re.sub(r"\{\w+:?(\w*)\}", lambda found: f"{{{found[1] or 'str'}}}", route.template)
        self.routes.append((re.compile(pattern), (rank, alike), route))

    def find(self, path: str) -> tuple[Route, tuple[str, ...]] | None:
        matching = [
            (rank, route, found.groups())
            for pattern, rank, route in self.routes
            if (found := pattern.fullmatch(path))
        ]
        if not matching:
            return None
        _, route, groups = min(matching, key=lambda each: each[0])
        return route, groups


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(templates, min_size=1, max_size=12), st.lists(paths, min_size=1, max_size=8))
def test_no_path_is_seen_otherwise_than_by_a_naive_matcher(
    added: list[str], asked: list[str]
) -> None:
    router, naive = Router(), Naive()
    for template in added:
        route = Route("GET", template, "here:1")
        try:
            router.add(route)
        except ValueError:
            continue  # the same paths as another one
        naive.add(route)
    for path in asked:
        found, wanted = router.find("GET", path), naive.find(path)
        if wanted is None:
            assert found is None, path
            continue
        assert found is not None, path
        route, params = found
        assert route.template == wanted[0].template, path
        assert [str(value) for value in params.values()] == [
            str(int(text)) if isinstance(value, int) else text
            for text, value in zip(wanted[1], params.values(), strict=True)
        ]
        assert route.fill(params).startswith("/")


def test_a_thousand_routes_cost_what_ten_do() -> None:
    """Counted in steps of the tree, which are the work: no clock of a busy machine decides."""

    def steps(count: int) -> int:
        router = Router()
        for n in range(count):
            router.add(Route("GET", f"/r{n}/{{x}}", ""))
            router.add(Route("GET", f"/r{n}/{{x:int}}/edit", ""))
        seen = 0

        def trace(frame: Any, event: str, argument: Any) -> Any:
            nonlocal seen
            seen += 1
            return trace

        import sys

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            router.find("GET", f"/r{count - 1}/7/edit")
            router.find("GET", f"/r{count // 2}/a")
            router.find("GET", "/nothing/7")
        finally:
            sys.settrace(before)
        return seen

    assert steps(1000) <= 2 * steps(10)


def test_slash_redirect_of_any_query() -> None:
    """A raw backslash in a query may be sent, and not be in a redirect."""
    app = Bare()
    app.get("/a")(lambda: "x")
    told: list[Any] = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/a/", "QUERY_STRING": "x=\\&y=\xe9%20"}
    app.wsgi(environ, lambda *given: told.append(given))
    assert told[0][0] == "308 Permanent Redirect"
    assert dict(told[0][1])["location"] == "/a?x=%5C&y=%E9%20"
