"""One call of a handler: providers, handler, teardown; one thread, and then the answer.

What lives here: how a plan is run. What must not: how it is made (plan.py), and which thread or
loop it runs on (asgi.py, wsgi.py). The code is written once, as a coroutine: where all functions
are plain, it never waits, and `inline` runs it without a loop.

What providers have yielded for is done before the answer starts: a commit that fails is a 500, not
a 200. Only a stream keeps its providers open, until its last piece.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from bare_serve.bare.plan import ASYNC, PLAIN, Plan
from bare_serve.bare.response import Response
from bare_serve.bare.stream import to_response

Value = TypeVar("Value")

_NOTHING: Any = object()


def inline(coroutine: Coroutine[Any, Any, Value]) -> Value:
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
        answer = handler(**{name: get(request) for name, get in arguments})
        return to_response(await answer if waits else answer)

    return call


async def _run(plan: Plan, request: Any) -> Response:
    opened: list[Any] = []
    request.provided = {}
    try:
        for key, step in plan.steps.items():
            made = step.handler(**{name: get(request) for name, get in step.arguments})
            if step.kind == ASYNC:
                made = await made
            elif step.kind != PLAIN:
                opened.append(made)
                if (made := await _next(made)) is _NOTHING:
                    raise RuntimeError(f"the provider {step.handler!r} did not yield")
            request.provided[key] = made
        answer = plan.handler(**{name: get(request) for name, get in plan.arguments})
        response = to_response(await answer if plan.kind == ASYNC else answer)
        if opened and response.is_async and plan.kind < ASYNC:
            raise TypeError("providers of a def handler are open, so its stream cannot be async")
    except BaseException as error:  # noqa: BLE001 - raised again, or another one
        raise await unwind(opened, error) or error  # noqa: B904 - it has its own cause
    if opened and response.is_stream:
        response.after = partial(unwind, opened)
    elif (failed := await unwind(opened, None)) is not None:
        raise failed
    return response


async def unwind(opened: list[Any], error: BaseException | None) -> BaseException | None:
    """Run the rest of providers, the last one first; return `error`, or what the last rest raised.

    A provider that takes the exception and raises none does not undo it: there is no answer.
    """
    while opened:
        generator = opened.pop()
        try:
            if await _next(generator, error) is not _NOTHING:
                raise RuntimeError(f"the provider {generator!r} has yielded twice")
        except BaseException as raised:  # noqa: BLE001 - it goes to the next one, and out
            error = raised
    return error


async def _next(generator: Any, error: BaseException | None = None) -> Any:
    """Run a provider to its next `yield`, plain or async; `_NOTHING` where there is none."""
    waits = hasattr(generator, "__anext__")
    try:
        if error is not None:
            value = generator.athrow(error) if waits else generator.throw(error)
        else:
            value = anext(generator) if waits else next(generator)
        return await value if waits else value
    except (StopIteration, StopAsyncIteration):
        return _NOTHING
