"""Each clause of ASGI is found by the lint, and by the server where the table says so."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bare_serve.asgi import Lifespan
from bare_serve.clauses import reference
from bare_serve.clauses.table import CLAUSES
from bare_serve.errors import AppLoadError
from bare_serve.testing import SpecError, lint
from tests.asgi.fakes import GET, Wire
from tests.asgi.websocket_fakes import SocketWire, upgrade
from tests.testing import asgi_breaches, wsgi_breaches
from tests.testing.asgi_breaches import ACCEPT, CLOSE, Sends, body, extension, start, text
from tests.testing.drivers import (
    call_asgi,
    http_scope,
    lifespan_scope,
    linted,
    websocket_scope,
)
from tests.testing.test_wsgi_clauses import REPORTED, judge

HTTP = [*asgi_breaches.HTTP.items(), *asgi_breaches.MORE]
WEBSOCKET = [*asgi_breaches.WEBSOCKET.items(), *asgi_breaches.MORE_WEBSOCKET]
EVENTS = [*asgi_breaches.EVENTS.items(), *asgi_breaches.MORE_EVENTS]
SCOPES = [*asgi_breaches.SCOPES.items(), *asgi_breaches.MORE_SCOPES]


def named(pairs: list[tuple[str, Any]]) -> Any:
    return pytest.mark.parametrize(("name", "case"), pairs, ids=[name for name, _ in pairs])


def reported(pairs: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return [(name, app) for name, app in pairs if CLAUSES[name].reported]


def judge_asgi(name: str, app: Any, scope: Any, events: Any = None) -> None:
    checked, said = linted(app, "asgi")
    judge(name, lambda: asyncio.run(call_asgi(checked, scope, events)), said)


@named(HTTP)
def test_the_lint_finds_what_an_answer_breaks(name: str, case: Any) -> None:
    judge_asgi(name, case, http_scope(method="HEAD" if name == "http-head-body" else "GET"))


@named(WEBSOCKET)
def test_the_lint_finds_what_a_websocket_breaks(name: str, case: Any) -> None:
    judge_asgi(name, case, websocket_scope())


@named(list(asgi_breaches.LIFESPAN.items()))
def test_the_lint_finds_what_a_lifespan_breaks(name: str, case: Any) -> None:
    judge_asgi(name, case, lifespan_scope())


@named(SCOPES)
def test_the_lint_finds_what_the_scope_breaks(name: str, case: Any) -> None:
    judge_asgi(name, Sends(start(), body()), case)


@named(EVENTS)
def test_the_lint_finds_what_an_event_breaks(name: str, case: Any) -> None:
    scope, events = case
    judge_asgi(name, Sends(receives=3), scope, events)


def test_the_lint_finds_what_is_no_coroutine() -> None:
    judge_asgi("asgi-app-awaitable", lambda scope, receive, send: None, http_scope())


def test_each_clause_of_asgi_has_a_breach() -> None:
    found = {
        "asgi-app-awaitable",
        *asgi_breaches.HTTP,
        *asgi_breaches.WEBSOCKET,
        *asgi_breaches.LIFESPAN,
        *asgi_breaches.SCOPES,
        *asgi_breaches.EVENTS,
    }
    of_wsgi = {*wsgi_breaches.APPLICATIONS, *wsgi_breaches.SERVER_ONLY}
    of_http = {name for name in of_wsgi if name.startswith("http-")}
    assert found | of_http == {name for name in CLAUSES if not name.startswith("wsgi-")}


# ------------------------------------------------------------------------- the server


def test_each_clause_that_the_server_reports_is_tested() -> None:
    tables = (HTTP, WEBSOCKET, list(asgi_breaches.LIFESPAN.items()), REPORTED)
    tested = {name for pairs in tables for name, _ in reported(pairs)}
    assert tested == {name for name, row in CLAUSES.items() if row.reported}


def answered(wire: Any, request: bytes) -> None:
    async def scene() -> None:
        await wire().feed(request)
        await asyncio.sleep(0)

    asyncio.run(scene())


@named(reported(HTTP))
def test_the_server_names_the_clause_of_an_answer(
    name: str, case: Any, caplog: pytest.LogCaptureFixture
) -> None:
    request = GET.replace(b"\r\n\r\n", b"\r\nTE: trailers\r\n\r\n")
    answered(lambda: Wire(case), request)
    assert reference(name) in caplog.text


@named(reported(WEBSOCKET))
def test_the_server_names_the_clause_of_a_websocket(
    name: str, case: Any, caplog: pytest.LogCaptureFixture
) -> None:
    answered(lambda: SocketWire(case), upgrade(b"Sec-WebSocket-Protocol: chat\r\n"))
    assert reference(name) in caplog.text


@named(reported(list(asgi_breaches.LIFESPAN.items())))
def test_the_server_names_the_clause_of_a_lifespan(name: str, case: Any) -> None:
    async def scene() -> None:
        await Lifespan(case, "on").startup()

    with pytest.raises(AppLoadError) as caught:
        asyncio.run(scene())
    assert reference(name) in f"{caught.value}\n{caught.value.details}"


# ------------------------------------------------------------------------- what goes through


def served(app: Any, scope: Any, events: Any = None) -> list[Any]:
    """What goes out of a sound application: as without the lint, and without a word."""
    checked, said = linted(app, "asgi")
    sent = asyncio.run(call_asgi(checked, scope, events))
    assert [advice for advice in said if advice.clause.id != "asgi-loop-held"] == []
    assert sent == asyncio.run(call_asgi(app, scope, events))
    return sent


def test_answers_go_through_unchanged() -> None:
    served(Sends(start(), body()), http_scope())
    served(Sends(start(), body(b"a", more_body=True), body(b"", more_body=False)), http_scope())
    served(Sends(start(headers=asgi_breaches.FOUR), body(b"four")), http_scope())
    served(Sends(start(), body(memoryview(b"view"))), http_scope())
    served(Sends(start(204, headers=[]), body(b"")), http_scope())


def test_extensions_go_through_unchanged() -> None:
    hint = extension("early_hint", links=[b"</a>; rel=preload"])
    served(Sends(hint, start(), hint, body()), http_scope())
    served(Sends(extension("debug", info={}), start(), body()), http_scope())
    served(Sends(start(), extension("pathsend", path=__file__)), http_scope())
    trailers = extension("trailers", headers=[(b"x-sum", b"1")], more_trailers=False)
    served(Sends(start(trailers=True), body(), trailers), http_scope())
    more = {**trailers, "more_trailers": True}
    served(Sends(start(trailers=True), body(), more, trailers), http_scope())
    push = extension("push", path="/", headers=[])
    served(Sends(start(), push, body()), http_scope(extensions={"http.response.push": {}}))


def test_an_open_file_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"hello")
    with path.open("rb") as file:
        five = [asgi_breaches.TYPE, (b"content-length", b"5")]
        first = extension("zerocopysend", file=file, offset=0, count=2, more_body=True)
        second = extension("zerocopysend", file=file.fileno(), offset=2)
        served(Sends(start(headers=five), first, second), http_scope())


def test_headers_that_can_be_read_once_arrive() -> None:
    checked, _ = linted(Sends(start(headers=iter([asgi_breaches.TYPE])), body()), "asgi")
    sent = asyncio.run(call_asgi(checked, http_scope()))
    assert sent[0]["headers"] == [asgi_breaches.TYPE]


def test_websockets_go_through_unchanged() -> None:
    served(Sends(ACCEPT, text("h\u00e9"), {**text(None), "bytes": b"x"}, CLOSE), websocket_scope())
    served(Sends({**ACCEPT, "subprotocol": "chat", "headers": []}), websocket_scope())
    served(Sends({**CLOSE, "code": 4000, "reason": "no"}, CLOSE), websocket_scope())
    prefix = "websocket."
    answer = [{**message, "type": prefix + message["type"]} for message in (start(403), body())]
    served(Sends(*answer), websocket_scope())


def test_after_a_disconnect_nothing_more_is_asked_for() -> None:
    for scope, events in (
        (http_scope(), [{"type": "http.disconnect"}]),
        (websocket_scope(), [{"type": "websocket.disconnect", "code": 1001}]),
    ):
        served(Sends(), scope, events)


def test_a_whole_lifespan_goes_through() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(2):
            await send({"type": f"{(await receive())['type']}.complete"})

    assert len(served(app, lifespan_scope())) == 2


def test_an_unknown_protocol_is_left_alone() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(7)

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(lint(app)({"type": "mine"}, send, send))
    assert sent == [7]


def test_a_stranger_to_lifespan_is_still_one_to_the_server() -> None:
    """It answers the lifespan as a request; the server takes it for unsupported, and starts."""

    async def scene() -> str:
        lifespan = Lifespan(lint(Sends(start(), body())), "auto")
        await lifespan.startup()
        return lifespan.status

    assert asyncio.run(scene()) == "unsupported"


def test_asgi_2_becomes_asgi_3() -> None:
    class App:
        def __init__(self, scope: Any) -> None:
            self.scope = scope

        async def __call__(self, receive: Any, send: Any) -> None:
            await Sends(start(), body())(self.scope, receive, send)

    assert len(asyncio.run(call_asgi(lint(App), http_scope()))) == 2


def test_what_an_application_swallows_is_raised_out_of_it() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send(body())
        except AssertionError:
            await Sends(start(), body())(scope, receive, send)

    with pytest.raises(SpecError, match="asgi-http-start-first"):
        asyncio.run(call_asgi(lint(app), http_scope()))


def test_a_client_that_left_raises_through() -> None:
    async def gone(message: Any) -> None:
        raise OSError("gone")

    async def receive() -> Any:
        return {"type": "http.request"}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())

    with pytest.raises(OSError, match="gone"):
        asyncio.run(lint(app)(http_scope(), receive, gone))


def test_a_cancellation_goes_through_the_watch_over_the_loop() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def scene() -> None:
        checked, _ = linted(app)
        task = asyncio.ensure_future(call_asgi(checked, http_scope()))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(scene())
    assert seen == ["cancelled"]
