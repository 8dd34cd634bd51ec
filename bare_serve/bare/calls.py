"""One call of a handler: providers, handler, teardown; one thread, and then the answer.

What lives here: how a plan is run. What must not: how it is made (plan.py), and which thread or
loop it runs on (asgi.py, wsgi.py). The code is written once, as a coroutine: where all functions
are plain, it never waits, and `inline` runs it without a loop.

What providers have yielded for is done before the answer starts: a commit that fails is a 500, not
a 200. Only a stream keeps its providers open, until its last piece.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from bare_serve.bare.functions import ASYNC, ASYNC_GENERATOR, GENERATOR
from bare_serve.bare.plan import Plan
from bare_serve.bare.response import Response, StreamResponse, to_response

_Value = TypeVar("_Value")
Call = Callable[[Any], Awaitable[Any]]
"""From a request to what the handler answers."""


def inline(coroutine: Coroutine[Any, Any, _Value]) -> _Value:
    """Run a coroutine that waits for nothing, and return its value.

    Raises:
        RuntimeError: it waits, which is a mistake of the framework.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    coroutine.close()
    raise RuntimeError("a call of plain functions has waited")


def make_call(plan: Plan) -> Callable[[Any], Coroutine[Any, Any, Response]]:
    """Return what runs a plan for a request and gives its response."""
    if plan.steps:
        return partial(_run, plan)
    handler, arguments, waits = plan.handler, plan.arguments, plan.kind == ASYNC

    async def call(request: Any) -> Response:
        answer = handler(**{name: get(request, _NO_VALUES) for name, get in arguments})
        return to_response(await answer if waits else answer)

    return call


def make_plain_call(plan: Plan) -> Callable[[Any], Response]:
    """Return the same for a plan of plain functions, without a coroutine."""
    handler, arguments = plan.handler, plan.arguments
    if plan.steps:
        return lambda request: inline(_run(plan, request))
    return lambda request: to_response(
        handler(**{name: get(request, _NO_VALUES) for name, get in arguments})
    )


_NO_VALUES: dict[Any, Any] = {}


async def _run(plan: Plan, request: Any) -> Response:
    values: dict[Any, Any] = {}
    opened: list[Any] = []
    try:
        for step in plan.steps:
            made = step.function(**{name: get(request, values) for name, get in step.arguments})
            if step.kind == ASYNC:
                made = await made
            elif step.kind == GENERATOR:
                generator = made
                made = next(generator, _NOTHING)
                opened.append(generator)
            elif step.kind == ASYNC_GENERATOR:
                generator = made
                made = await anext(generator, _NOTHING)
                opened.append(generator)
            if made is _NOTHING:
                opened.pop()
                raise RuntimeError(f"the provider {step.function!r} did not yield")
            values[step.key] = made
        answer = plan.handler(**{name: get(request, values) for name, get in plan.arguments})
        response = to_response(await answer if plan.kind == ASYNC else answer)
    except BaseException as error:
        await unwind(opened, error)
        raise
    if opened:
        if isinstance(response, StreamResponse):
            if hasattr(response.pieces, "__aiter__") and not plan.runs_on_loop:
                await unwind(opened, TypeError(_MIXED))
            response.after = partial(unwind, opened)
            return response
        await unwind(opened, None)
    return response


_NOTHING = object()
_MIXED = (
    "a plain function whose providers are open cannot answer by an async stream: make it async def"
)


async def run_socket(plan: Plan, socket: Any) -> None:
    """Run the plan of a WebSocket's handler; what providers have open is closed at its end."""
    # Such a handler answers nothing, which `to_response` takes for an empty answer.
    await _run(plan, socket)


async def unwind(opened: list[Any], error: BaseException | None) -> None:
    """Run the rest of providers, the last one first; raise `error`, or what the last rest raised.

    A provider that takes the exception and raises none does not undo it: there is no answer.

    Raises:
        RuntimeError: a provider has yielded twice.
    """
    while opened:
        generator = opened.pop()
        waits = hasattr(generator, "__anext__")
        try:
            if error is not None:
                left = generator.athrow(error) if waits else generator.throw(error)
            else:
                left = anext(generator) if waits else next(generator)
            if waits:
                await left
            raise RuntimeError(f"the provider {generator!r} has yielded twice")
        except (StopIteration, StopAsyncIteration):
            continue
        except BaseException as raised:  # noqa: BLE001 - it goes to the next one, and out
            error = raised
    if error is not None:
        raise error


async def close_pieces(pieces: Any) -> None:
    """Close an iterator of pieces, if it can be closed; it waits only for an async one."""
    close = getattr(pieces, "aclose", None) or getattr(pieces, "close", None)
    closed: Any = close() if close is not None else None
    if hasattr(closed, "__await__"):
        await closed


async def end_call(response: StreamResponse, raised: BaseException | None) -> None:
    """Run the rest of the providers of a stream, which see what has ended it."""
    assert response.after is not None
    try:
        await response.after(raised)  # type: ignore[misc]
    except BaseException as error:
        if error is not raised:
            raise
