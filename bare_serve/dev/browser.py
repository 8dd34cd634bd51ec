"""The application as it is served under development: with errors in the browser, and live pages.

What lives here: `wrap`, which is put around an application at a worker's boot if that is asked, and
what it does with each request, in order. What must not: what it answers (answers.py).

Requests of WebSockets and the lifespan pass through untouched.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

from bare_serve.dev import asgi_errors, error_page, live, terminal, wsgi_errors
from bare_serve.dev.answers import Answer, Answers, Given
from bare_serve.dev.asked import Asked
from bare_serve.dev.handled import watch_logging
from bare_serve.dev.state import BrowserOptions, DevState
from bare_serve.logs import error_log
from bare_serve.xray import redact
from bare_serve.xray.show import printable

Application = Callable[..., Any]

_XRAY = "bare_serve.xray"
"""Where a server that x-rays its requests has a function that returns the text so far."""
_MOST_TARGET = 2000


def wrap(
    application: Application, interface: str, state: DevState, options: BrowserOptions
) -> Application:
    """Return what is served in the application's place.

    Args:
        application: a callable of this interface.
        interface: "wsgi", "asgi" or "asgi2"; what is returned has the same.
        state: what the master tells of versions and failures.
        options: what is asked for.
    """
    watch_logging()
    error_log.show_exceptions(terminal.of_exception)
    module = getattr(application, "__module__", "")
    answers = Answers(state, options, stands_in=module == "bare_serve.dev.placeholder")
    keeps = module == "bare_serve.app.demo"
    if interface == "wsgi":
        return _wsgi(application, answers, keeps)
    if interface == "asgi2":
        adapters = import_module("bare_serve.asgi.adapters")  # no WSGI worker needs asyncio
        wrapped = _asgi(adapters.asgi2_to_asgi3(application), answers, keeps)
        return lambda scope: partial(wrapped, scope)
    return _asgi(application, answers, keeps)


def _wsgi(application: Application, answers: Answers, keeps_xray: bool) -> Application:
    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        asked = Asked.of_environ(environ)
        reading = answers.state.read()
        xray = environ.get(_XRAY)
        if xray is not None and not keeps_xray:
            del environ[_XRAY]  # the application sees what it sees of any server
        given = Given(
            "environ",
            _target(environ.get("RAW_URI", asked.path)),
            partial(error_page.environ_rows, environ.copy()),
            xray,
        )
        answer = answers.own(asked, reading) or answers.broken(asked, reading)
        if answer is not None:
            start_response(answer.status_line, answer.fields)
            return [answer.body]
        called = application
        if answers.options.live and asked.may_be_live:
            called = live.wsgi(application, asked, answers.mark(asked, reading))
        if not answers.sees_errors(asked):
            return called(environ, start_response)
        page = partial(answers.raised, asked=asked, given=given)
        guard = wsgi_errors.Guard(start_response, page, holds=asked.is_navigation)
        return guard.call(called, environ)

    return serve


def _asgi(application: Application, answers: Answers, keeps_xray: bool) -> Application:
    async def serve(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        asked = Asked.of_scope(scope)
        reading = answers.state.read()
        scope, xray = (scope, None) if keeps_xray else _without_xray(scope)
        raw = scope.get("raw_path") or asked.path.encode("utf-8", "replace")
        query = scope.get("query_string") or b""
        given = Given(
            "scope",
            _target((raw + b"?" * bool(query) + query).decode("latin-1")),
            partial(error_page.scope_rows, {**scope, "headers": list(scope["headers"])}),
            xray,
        )
        answer = answers.own(asked, reading) or answers.broken(asked, reading)
        if answer is not None:
            await _send(answer, send)
            return
        called = application
        if answers.options.live and asked.may_be_live:
            called = live.asgi(application, asked, answers.mark(asked, reading))
        if not answers.sees_errors(asked):
            await called(scope, receive, send)
            return
        page = partial(answers.raised, asked=asked, given=given)
        guard = asgi_errors.Guard(send, page, holds=asked.is_navigation)
        await guard.call(called, scope, receive)

    return serve


def _without_xray(scope: dict[str, Any]) -> tuple[dict[str, Any], Callable[[], str] | None]:
    offered: Mapping[str, Any] = scope.get("extensions") or {}
    if _XRAY not in offered:
        return scope, None
    rest = {name: value for name, value in offered.items() if name != _XRAY}
    return {**scope, "extensions": rest}, offered[_XRAY]["so_far"]


async def _send(answer: Answer, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    fields = [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in answer.fields]
    await send({"type": "http.response.start", "status": answer.status, "headers": fields})
    await send({"type": "http.response.body", "body": answer.body})


def _target(target: str) -> str:
    return printable(redact.target(target[:_MOST_TARGET]))
