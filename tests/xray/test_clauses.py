"""What an application breaks is shown in its place, with the clause and what to do."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import pytest

from bare_serve.asgi.traced_lifespan import TracedLifespan
from bare_serve.clauses import reference
from bare_serve.errors import AppLoadError
from tests.testing import asgi_breaches, wsgi_breaches
from tests.xray.driving import Shown, call_asgi, call_wsgi

_NOT_ASGI = {"asgi-extension-offered"}  # the server has another clause for it
_ASKED = {
    "http-head-body": b"HEAD / HTTP/1.1\r\nHost: test\r\n\r\n",
    "http-trailer-field": b"GET / HTTP/1.1\r\nHost: test\r\nTE: trailers\r\n\r\n",
}
_GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
_WEBSOCKET = (
    b"GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_POST = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody"


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@pytest.mark.parametrize("clause", sorted(wsgi_breaches.APPLICATIONS))
def test_a_clause_of_wsgi_is_shown(clause: str) -> None:
    app = wsgi_breaches.APPLICATIONS[clause]
    if isinstance(app, wsgi_breaches.Keeper):  # it keeps what another test has called it with
        app = wsgi_breaches.Keeper()
    raw = _POST if clause == "wsgi-input-close" else _GET
    text = call_wsgi(app, raw, times=2 if clause == "wsgi-start-over" else 1)
    assert _squeezed(reference(clause)) in _squeezed(text)


@pytest.mark.parametrize("clause", sorted({*asgi_breaches.HTTP} - _NOT_ASGI))
def test_a_clause_of_asgi_is_shown(clause: str) -> None:
    app = asgi_breaches.HTTP[clause]
    text = call_asgi(app, _ASKED.get(clause, _GET), full=True)
    assert _squeezed(reference(clause)) in _squeezed(text)


@pytest.mark.parametrize("place", range(len(wsgi_breaches.MORE)))
def test_a_clause_of_wsgi_is_shown_however_it_is_broken(place: int) -> None:
    clause, app = wsgi_breaches.MORE[place]
    assert _squeezed(reference(clause)) in _squeezed(call_wsgi(app))


@pytest.mark.parametrize("clause", sorted(asgi_breaches.WEBSOCKET))
def test_a_clause_of_websockets_is_shown(clause: str) -> None:
    text = call_asgi(asgi_breaches.WEBSOCKET[clause], _WEBSOCKET)
    assert _squeezed(reference(clause)) in _squeezed(text)


@pytest.mark.parametrize("clause", sorted({*asgi_breaches.LIFESPAN} - {"asgi-lifespan-unanswered"}))
def test_a_clause_of_the_lifespan_is_shown(clause: str) -> None:
    shown = Shown()

    async def start() -> None:
        lifespan = TracedLifespan(asgi_breaches.LIFESPAN[clause], "auto", shown.tracer)
        with contextlib.suppress(AppLoadError):
            await lifespan.startup()
        await lifespan.abandon(1.0)

    asyncio.run(start())
    assert _squeezed(reference(clause)) in _squeezed(shown.text)


def test_nothing_is_said_of_an_application_without_mistakes() -> None:
    assert " ! " not in call_wsgi(wsgi_breaches.answers())
    assert " x " not in call_wsgi(wsgi_breaches.answers())
    text = call_asgi(asgi_breaches.Sends(asgi_breaches.start(), asgi_breaches.body()))
    assert " ! " not in text
    assert " x " not in text


def test_a_mistake_stands_behind_the_call_that_made_it() -> None:
    lines = call_wsgi(wsgi_breaches.starts_twice).splitlines()
    marks = [line[9:28].split() for line in lines if line[8:9] == " " and line[9:10].strip()]
    at = marks.index(["x", "start_response"])
    assert marks[at - 1] == ["<-", "start_response"]
    assert marks[at + 1] == ["x", "raised"]


def _squeezed(text: Any) -> str:
    return "".join(text.split())
