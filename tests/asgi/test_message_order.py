"""Every message in every state: what `send` takes, and how it says what was wrong."""

from __future__ import annotations

import atexit
from typing import Any

import pytest

from bare_serve.errors import ClientGone, ResponseError
from tests.asgi.conftest import Run
from tests.asgi.fakes import GET, Recorder, Wire, body, start

# How each state is reached.
STATES: dict[str, list[dict[str, Any]]] = {
    "START": [],
    "HELD": [start()],
    "STREAM": [start(), body(b"x", more=True)],
    "TRAILERS": [{**start(), "trailers": True}, body(b"x")],
    "DONE": [start(), body(b"x")],
}
BODY = "expected 'http.response.body'"
NEED_START = "expected 'http.response.start'"
NEED_TRAILERS = "expected 'http.response.trailers'"
NOTHING = "expected nothing, because the response is complete"

# Open as long as the module is: closed by the garbage collector it would be a ResourceWarning.
HERE = open(__file__, "rb")  # noqa: SIM115
atexit.register(HERE.close)

MESSAGES: dict[str, dict[str, Any]] = {
    "start": start(),
    "body": body(b"y"),
    "more": body(b"y", more=True),
    "empty": {"type": "http.response.body"},
    "trailers": {"type": "http.response.trailers", "headers": [(b"a", b"b")]},
    "pathsend": {"type": "http.response.pathsend", "path": __file__},
    "zerocopysend": {"type": "http.response.zerocopysend", "file": HERE},
    "early_hint": {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]},
    "debug": {"type": "http.response.debug", "info": {}},
}
ORDER = {
    "START": ("start", "early_hint"),
    "HELD": ("body", "more", "empty", "pathsend", "zerocopysend", "early_hint"),
    "STREAM": ("body", "more", "empty", "zerocopysend"),
    "TRAILERS": ("trailers",),
    "DONE": (),
}
WANTED = {
    "START": NEED_START,
    "HELD": BODY,
    "STREAM": BODY,
    "TRAILERS": NEED_TRAILERS,
    "DONE": NOTHING,
}
# (state, message) -> None where it is right, else what the error says.
TABLE: dict[tuple[str, str], str | None] = {
    (state, message): None if message in ORDER[state] else WANTED[state]
    for state in STATES
    for message in MESSAGES
}
FOREIGN = [
    "http.response.push",
    "http.request",
    "http.disconnect",
    "websocket.accept",
    "websocket.send",
    "websocket.close",
    "websocket.http.response.start",
    "lifespan.startup.complete",
    "",
    "nonsense",
    None,
    7,
]


async def outcome(state: str, message: Any) -> tuple[str | None, Wire]:
    """What `send` raised in `state`, as text."""
    app = Recorder()
    wire = Wire(app)
    await wire.feed(GET)
    for earlier in STATES[state]:
        await app.send(earlier)
    written = wire.output
    try:
        await app.send(message)
    except ResponseError as error:
        assert wire.output == written, "a refused message leaves no trace"
        return str(error).splitlines()[0], wire
    finally:
        app.done[0].set()
    return None, wire


@pytest.mark.parametrize(("state", "message"), TABLE)
def test_each_message_in_each_state(run: Run, state: str, message: str) -> None:
    said, _ = run(outcome(state, MESSAGES[message]))
    wanted = TABLE[state, message]
    if wanted is None:
        assert said is None
    else:
        assert said is not None
        assert said.startswith(wanted)
        assert f"sent {MESSAGES[message]['type']!r}" in said


@pytest.mark.parametrize("kind", FOREIGN, ids=repr)
@pytest.mark.parametrize("state", STATES)
def test_messages_that_are_never_right(run: Run, state: str, kind: Any) -> None:
    said, _ = run(outcome(state, {"type": kind}))
    assert said is not None
    assert said.startswith("expected ")
    assert said.endswith(f"sent {kind!r}")


@pytest.mark.parametrize("message", [None, 5, "http.response.start", [], {}, b"x"], ids=repr)
def test_what_is_no_message_at_all(run: Run, message: Any) -> None:
    said, _ = run(outcome("START", message))
    assert said is not None
    assert "a dict with a 'type'" in said


@pytest.mark.parametrize(
    ("state", "message", "words"),
    [
        ("START", {"type": "http.response.start"}, "no 'status'"),
        ("START", start("200"), "status must be an integer"),  # type: ignore[arg-type]
        ("START", start(99), "status must be"),
        ("START", start(1000), "status must be"),
        ("START", start(101), "final status"),
        ("START", start(200, ("a", "b")), "must be bytes"),  # type: ignore[arg-type]
        ("START", start(200, (b"a", b"b\r\nc: d")), "control character"),
        ("START", start(200, (b"a b", b"c")), "not a token"),
        ("START", {**start(), "headers": None}, "'headers' must be"),
        ("START", {**start(), "headers": [b"abc"]}, "'headers' must be"),
        ("START", {**start(), "headers": [(b"a", bytearray(b"b"))]}, "must be"),
        ("HELD", {**body(), "body": "text"}, "'body' must be bytes, not str"),
        ("HELD", {**body(), "body": None}, "'body' must be bytes, not NoneType"),
        ("HELD", {**body(), "more_body": "no"}, "'more_body' must be True or False, not 'no'"),
        ("HELD", {**body(), "more_body": None}, "'more_body' must be True or False"),
    ],
)
def test_wrong_types(run: Run, state: str, message: Any, words: str) -> None:
    said, _ = run(outcome(state, message))
    assert said is not None
    assert words in said


@pytest.mark.parametrize("data", [bytearray(b"abc"), memoryview(b"abc")], ids=["array", "view"])
def test_bytes_in_other_forms_are_taken(run: Run, data: Any) -> None:
    said, wire = run(outcome("HELD", {"type": "http.response.body", "body": data}))
    assert said is None
    assert wire.output.endswith(b"\r\n\r\nabc")


@pytest.mark.parametrize("message", [start(), body(), body(more=True), {"type": "x"}])
@pytest.mark.parametrize("state", ["START", "HELD", "STREAM", "TRAILERS"])
def test_after_the_client_has_gone(run: Run, state: str, message: dict[str, Any]) -> None:
    async def scene() -> None:
        app = Recorder()
        wire = Wire(app)
        await wire.feed(GET)
        for earlier in STATES[state]:
            await app.send(earlier)
        await wire.lose()
        with pytest.raises(ClientGone) as caught:
            await app.send(message)
        assert isinstance(caught.value, OSError)  # what the specification asks for since 2.4
        # A request that arrived whole can still be worked on: only then comes the news.
        assert (await app.receive())["type"] == "http.request"
        assert await app.receive() == {"type": "http.disconnect"}
        app.done[0].set()
        await wire.settle()

    run(scene())


def test_receive_over_the_life_of_a_request(run: Run) -> None:
    """(state, receive) pairs: body once, then disconnect when the answer is complete."""

    async def scene() -> list[Any]:
        app = Recorder()
        wire = Wire(app)
        await wire.feed(GET)
        seen = [await app.receive()]
        await app.send(start())
        await app.send(body(b"x", more=True))
        waiting = wire.loop.create_task(app.receive())
        await wire.settle()
        assert not waiting.done(), "the client is there and has nothing more to say"
        await app.send(body())
        seen += [await waiting, await app.receive()]
        app.done[0].set()
        await wire.settle()
        return seen

    assert run(scene()) == [
        {"type": "http.request", "body": b"", "more_body": False},
        {"type": "http.disconnect"},
        {"type": "http.disconnect"},
    ]
