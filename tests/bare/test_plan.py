"""A handler is planned when it is added: what it needs and nothing provides is refused there."""

import functools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, make_dataclass
from typing import Annotated, Any, NotRequired, TypedDict

import pytest

from bare_serve.bare import Bare, Form, Json, Request, Use, WebSocket
from tests.bare.versions import both, client


def made() -> Iterator[int]:
    yield 1


async def waiting() -> AsyncIterator[int]:
    yield 1


def circle(x: Annotated[int, Use(lambda y: 1)]) -> int:
    return x


def first(x: Annotated[int, "replaced"]) -> int:
    return x


def second(x: Annotated[int, Use(first)]) -> int:
    return x


first.__annotations__["x"] = Annotated[int, Use(second)]


@dataclass
class Odd:
    x: complex


def unknown(nothing) -> None: ...  # type: ignore[no-untyped-def]
def of_no_source(thing: object) -> None: ...
def body_twice(a: Annotated[int, Json], b: Annotated[int, Json]) -> None: ...
def form_and_body(a: Form, b: Annotated[int, Json]) -> None: ...
def form_and_bytes(form: Form, body: bytes) -> None: ...
def in_a_circle(x: Annotated[int, Use(first)]) -> None: ...
def async_provider(x: Annotated[int, Use(waiting)]) -> None: ...
def odd_json(x: Annotated[Odd, Json]) -> None: ...
def takes_anything(*args: Any, **kwargs: Any) -> None: ...
def by_position(x: int, /) -> None: ...
def lost_annotation(x: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821
def of_the_wrong_kind(ws: WebSocket) -> None: ...
def other_type(x: float) -> None: ...
def number(x: int) -> None: ...
def builtin(x: Annotated[int, Use(max)]) -> None: ...
def no_function(x: Annotated[int, Use(5)]) -> None: ...  # type: ignore[arg-type]


@dataclass
class Tree:
    below: list["Tree"]


def list_of_text(x: list[str]) -> None: ...


def forgotten(x: Annotated[int, Use]) -> None: ...


def uses_a_number(x: Annotated[int, Use(5)]) -> None: ...  # type: ignore[arg-type]


def of_itself(data: Annotated[Tree, Json]) -> None: ...


WRONG: dict[str, tuple[Any, str, str]] = {
    "unknown parameter": (unknown, "/", "'nothing' has no annotation, and is not in the path"),
    "no source": (of_no_source, "/", "'thing' is object, and is not in the path: Request, str,"),
    "body twice": (body_twice, "/", "'b' is the body, and so is another one"),
    "form and body": (form_and_body, "/", "'b' is the body, and so is another one"),
    "form and bytes": (form_and_bytes, "/", "'body' is the body, and so is another one"),
    "circle": (in_a_circle, "/", "in a circle: first() in"),
    "async provider": (async_provider, "/", "a call runs on one thread"),
    "odd json": (odd_json, "/", "is complex, which cannot be read: Use(provider) can"),
    "a list of text": (list_of_text, "/", "'x' is list[str], and is not in the path"),
    "forgotten": (forgotten, "/", "'x' has Use without a provider: write Use(provider)"),
    "uses a number": (uses_a_number, "/", "the parameter 'x' 5 does not tell what it takes"),
    "of itself": (of_itself, "/", "'data' has a type that holds itself"),
    "takes anything": (takes_anything, "/", "takes 'args', which is variadic"),
    "by position": (by_position, "/", "takes 'x', which is positional-only"),
    "lost annotation": (
        lost_annotation,
        "/",
        "'x' has the annotation 'Nowhere', which raises NameError",
    ),
    "websocket": (of_the_wrong_kind, "/", "'ws' is a WebSocket"),
    "builtin": (builtin, "/", "<built-in function max> does not tell what it takes"),
    "other type": (other_type, "/{x:int}", "'x' is float, but the path gives int"),
    "text as a number": (other_type, "/{x}", "'x' is float, but the path gives str"),
    "no converter": (number, "/{x}", "'x' is int, but the path gives str: write {x:int}"),
    "no function": (no_function, "/", "5 does not tell what it takes"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_handler_fails_when_it_is_added(case: str) -> None:
    handler, path, message = WRONG[case]
    app = Bare()
    with pytest.raises(TypeError) as caught:
        app.post(path)(handler)
    text = str(caught.value)
    assert message in text
    assert case in ("builtin", "no function") or "test_plan.py:" in text, "file and line are named"
    assert app.routes() == []


def test_a_plain_handler_of_websockets() -> None:
    with pytest.raises(TypeError, match=r"async def"):
        Bare().websocket("/")(of_the_wrong_kind)


def test_a_generator_as_a_handler_of_websockets() -> None:
    """Nobody would ask it for a value, so it would never begin."""

    async def handler(ws: WebSocket) -> AsyncIterator[str]:
        yield "x"

    with pytest.raises(TypeError, match=r"async def, and does not yield"):
        Bare().websocket("/")(handler)


# ------------------------------------------------------------------ sources


@both
def test_the_query(interface: str) -> None:
    app = Bare()

    @app.get("/plain/{n:int}")
    def plain(
        n: int,
        text: str,
        whole: int = 1,
        part: float = 0.5,
        yes: bool = False,
        maybe: int | None = None,
        kind: Annotated[str, "of no meaning here"] = "a",
    ) -> Any:
        return [n, text, whole, part, yes, maybe, kind]

    tester = client(app, interface)
    assert tester.get("/plain/7?text=").json() == [7, "", 1, 0.5, False, None, "a"]
    answer = tester.get(
        "/plain/7?text=%C3%A4&whole=-3&part=1e3&yes=ON&maybe=5&kind=b&kind=c&more=1"
    )
    assert answer.json() == [7, "\u00e4", -3, 1000.0, True, 5, "b"]
    for query, where in {
        "": "query.text",
        "text=&whole=1.5": "query.whole",
        "text=&whole=1_0": "query.whole",
        "text=&whole=%D9%A3": "query.whole",
        "text=&part=nan": "query.part",
        "text=&part=inf": "query.part",
        "text=&yes=maybe": "query.yes",
        "text=&maybe=": "query.maybe",
    }.items():
        refused = tester.get(f"/plain/7?{query}")
        assert (refused.status, refused.json()["where"]) == (422, where), query
    refused = tester.get("/plain/7?text=a&whole=x")
    assert refused.json()["error"] == "This must be a whole number, not 'x'."


@dataclass
class Part:
    name: str
    count: int = 1


@dataclass
class Thing:
    title: str
    price: float
    parts: list[Part] = field(default_factory=list)
    note: str | None = None
    extra: dict | None = None  # type: ignore[type-arg]
    anything: Any = None

    def __post_init__(self) -> None:
        if self.price < 0:
            raise ValueError("The price is negative.")


class Record(TypedDict):
    a: int
    b: NotRequired[bool]


@both
def test_json_of_a_declared_type(interface: str) -> None:
    app = Bare()

    @app.post("/thing")
    def thing(data: Annotated[Thing, Json]) -> Any:
        assert isinstance(data, Thing)
        return data

    @app.post("/record")
    async def record(data: Annotated[Record, Json]) -> Any:
        return data

    @app.post("/list")
    def numbers(data: Annotated[list[int], Json()]) -> Any:
        return data

    tester = client(app, interface)
    good = {"title": "a", "price": 1, "parts": [{"name": "x"}], "extra": {"k": 1}, "anything": 1}
    got = tester.post("/thing", json=good).json()
    assert got == {**good, "price": 1.0, "parts": [{"name": "x", "count": 1}], "note": None}
    assert tester.post("/record", json={"a": 1}).json() == {"a": 1}
    assert tester.post("/list", json=[1, 2]).json() == [1, 2]
    for path, data, where in (
        ("/thing", [], "body"),
        ("/thing", {"title": "a"}, "body.price"),
        ("/thing", {"title": 1, "price": 1}, "body.title"),
        ("/thing", {"title": "a", "price": True}, "body.price"),
        ("/thing", {"title": "a", "price": "1"}, "body.price"),
        ("/thing", {"title": "a", "price": -1}, "body"),
        ("/thing", {"title": "a", "price": 1, "more": 1}, "body.more"),
        ("/thing", {"title": "a", "price": 1, "parts": {}}, "body.parts"),
        ("/thing", {"title": "a", "price": 1, "parts": [{"count": 1}]}, "body.parts[0].name"),
        ("/thing", {"title": "a", "price": 1, "note": 5}, "body.note"),
        ("/thing", {"title": "a", "price": 1, "extra": []}, "body.extra"),
        ("/record", {"b": True}, "body.a"),
        ("/record", {"a": 1, "b": 1}, "body.b"),
        ("/list", [1, 2.5], "body[1]"),
        ("/list", {}, "body"),
    ):
        refused = tester.post(path, json=data)
        assert (refused.status, refused.json()["where"]) == (422, where), data


# ------------------------------------------------------------------ providers


def agent(request: Request) -> str:
    return request.header("user-agent")


def number(q: int = 3) -> int:
    return q


@both
def test_providers_declare_what_they_need(interface: str) -> None:
    app = Bare()
    calls: list[str] = []

    def base(id: int) -> int:  # noqa: A002 - of the path
        calls.append("base")
        return id

    def doubled(base: Annotated[int, Use(base)], n: Annotated[int, Use(number)]) -> int:
        return base * n

    class Service:
        def __init__(self, base: Annotated[int, Use(base)]) -> None:
            self.base = base

    @app.get("/{id:int}")
    def page(
        doubled: Annotated[int, Use(doubled)],
        base: Annotated[int, Use(base)],
        service: Annotated[Service, Use(Service)],
        agent: Annotated[str, Use(agent)],
        fixed: Annotated[int, Use(lambda: 4)],
    ) -> Any:
        return [doubled, base, service.base, agent, fixed]

    tester = client(app, interface)
    answer = tester.get("/5?q=2", headers={"user-agent": "me"})
    assert answer.json() == [10, 5, 5, "me", 4]
    assert calls == ["base"], "once a request"


@both
def test_overrides(interface: str) -> None:
    app = Bare()

    def real() -> str:
        return "real"

    def inner(x: Annotated[str, Use(real)]) -> str:
        return f"inner {x}"

    @app.get("/")
    def page(x: Annotated[str, Use(inner)], y: Annotated[str, Use(real)]) -> Any:
        return [x, y]

    def fake(q: str = "fake") -> Iterator[str]:
        yield q

    tester = client(app, interface)
    assert tester.get("/").json() == ["inner real", "real"]
    app.override(real, fake)
    assert tester.get("/?q=a").json() == ["inner a", "a"]
    app.override(inner, lambda: "other")
    assert tester.get("/").json() == ["other", "fake"]
    app.override(inner, None)
    app.override(real, None)
    assert tester.get("/").json() == ["inner real", "real"]
    with pytest.raises(TypeError, match="is async"):
        app.override(real, waiting)
    assert tester.get("/").json() == ["inner real", "real"], "nothing has changed"


def test_a_decorated_handler_keeps_its_needs() -> None:
    app = Bare()

    def shouting(function: Any) -> Any:
        @functools.wraps(function)
        def around(*args: Any, **kwargs: Any) -> str:
            return str(function(*args, **kwargs)).upper()

        return around

    @app.get("/{name}")
    @shouting
    def hello(name: str, greeting: str = "hello") -> str:
        return f"{greeting} {name}"

    assert client(app).get("/ann?greeting=hi").text == "HI ANN"


def test_routes_are_listed() -> None:
    app = Bare()

    @app.get("/a/{x:int}", name="shown")
    def page(x: int) -> None: ...

    (route,) = app.routes()
    assert route.place.rpartition("/")[2].startswith("test_plan.py:")
    assert (route.method, route.template, route.name) == ("GET", "/a/{x:int}", "shown")
    assert route.kinds == {"x": "int"}


@both
def test_numbers_that_json_does_not_have(interface: str) -> None:
    app = Bare()

    @app.get("/")
    def query(x: float) -> float:
        return x

    @app.post("/")
    def body(x: Annotated[float, Json]) -> float:
        return x

    tester = client(app, interface)
    assert tester.get("/?x=1e300").json() == 1e300
    refused = tester.get("/?x=1e999")
    assert (refused.status, refused.json()["where"]) == (422, "query.x")
    for given in (b"1e999", b"1" * 400):
        refused = tester.post("/", content=given, headers={"content-type": "application/json"})
        assert (refused.status, refused.json()["where"]) == (422, "body")


@both
def test_a_form_is_needed_of_a_get_too(interface: str) -> None:
    app = Bare()
    app.get("/")(only_a_form)
    assert client(app, interface).get("/").status == 415


def only_a_form(form: Form) -> None: ...


@both
def test_the_first_of_several_wrong_names_is_told(interface: str) -> None:
    """And the same one by each worker, though the hashes of text differ between processes."""
    app = Bare()
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    wide: Any = make_dataclass("Wide", [(name, int) for name in alphabet])

    @app.post("/")
    def page(data: Annotated[wide, Json]) -> None: ...

    tester = client(app, interface)
    good = dict.fromkeys(alphabet, 1)
    for data, where in (({}, "body.a"), (good | dict.fromkeys(alphabet.upper(), 1), "body.A")):
        assert tester.post("/", json=data).json()["where"] == where
