"""WSGI or ASGI? Decided by looking at a callable, never by calling it.

First what it is (a coroutine function can only be ASGI), then what it accepts: three
positional arguments are ASGI, two are WSGI, names break ties, a single `scope` is ASGI 2.
Partials and bound methods are looked through. A wrapper that takes anything (*args) says
nothing about itself, so what it wraps is asked. A callable that fits both or neither is refused,
with the flags that decide: a wrong guess would fail at every request, a refusal fails once.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

from bare_serve.errors import AppLoadError

Interface = Literal["wsgi", "asgi", "asgi2"]

WSGI_NAMES = frozenset({"environ", "start_response"})
ASGI_NAMES = frozenset({"scope", "receive", "send"})
# Where middleware written as a class usually keeps the application it wraps.
HELD_AS = ("app", "application", "_app", "wsgi_app", "asgi_app", "wrapped")
FLAGS = "say which it is with --wsgi, --asgi or --interface"


class Detection(NamedTuple):
    """What an application speaks, and in one plain phrase how that was seen."""

    interface: Interface
    how: str


class _Unclear(Exception):
    """Why the interface cannot be detected: a clause whose subject is the application."""


def detect(app: object, name: str = "the application") -> Detection:
    """Detect WSGI, ASGI or ASGI 2; AppLoadError, naming the flags, when in doubt."""
    if not callable(app):
        raise AppLoadError(not_callable(app, name))
    try:
        return _examine(app, ())
    except _Unclear as exc:
        raise AppLoadError(f"{name} {exc}") from None
    except Exception as exc:  # noqa: BLE001 - a proxy may raise anything when looked at
        reason = f"cannot be looked at ({type(exc).__name__}: {exc})"
        raise AppLoadError(f"{name} {reason}: {FLAGS}") from None


def not_callable(app: object, name: str) -> str:
    """Return the message for a target that is no application at all."""
    if isinstance(app, types.ModuleType):
        return f"{name} is the module '{app.__name__}', not an application in it"
    if app is None:
        return f"{name} is None, not an application: is it set somewhere else, or later?"
    return f"{name} is not callable (it is of type {type(app).__name__}), so it is no application"


def _examine(app: Callable[..., Any], seen: tuple[int, ...]) -> Detection:
    core = _core(app)
    if id(core) in seen:
        raise _Unclear(f"wraps itself, so its interface cannot be seen: {FLAGS}")
    seen = (*seen, id(core))
    accepts = _Accepts.of(app)
    if isinstance(core, type):
        return _examine_class(core, accepts)
    call = core if isinstance(core, types.FunctionType) else _core(type(core).__call__)
    if inspect.isasyncgenfunction(call):
        raise _Unclear(
            "is an asynchronous generator function, which neither WSGI nor ASGI can call: "
            "take out its 'yield'"
        )
    if _is_coroutine(core) or _is_coroutine(call):
        return _examine_coroutine(core, accepts)
    if accepts is None or (accepts.variadic and not accepts.names):
        return _examine_wrapper(app, core, accepts, seen)
    if inspect.isgeneratorfunction(call):
        if not accepts.fits(2) or accepts.says_asgi:
            raise _Unclear(
                f"is a generator function, which only WSGI can serve, but takes {accepts}, "
                "not (environ, start_response)"
            )
        return Detection("wsgi", "generator function")
    return _examine_signature(accepts)


def _core(app: Any) -> Any:
    """Return what is called in the end, behind partials and bound methods."""
    while True:
        if isinstance(app, functools.partial):
            app = app.func
        elif isinstance(app, types.MethodType):
            app = app.__func__
        else:
            return app


def _is_coroutine(call: Any) -> bool:
    if inspect.iscoroutinefunction(call):
        return True
    code = getattr(call, "__code__", None)
    if isinstance(code, types.CodeType) and code.co_flags & inspect.CO_ITERABLE_COROUTINE:
        return True  # types.coroutine: a generator that may be awaited
    # Before inspect.markcoroutinefunction (3.12) libraries used asyncio's mark, a bare object().
    return type(peek(call, "_is_coroutine")) is object


def peek(holder: Any, name: str) -> Any:
    """Get an attribute as getattr does, from proxies too that raise outside their context."""
    try:
        return getattr(holder, name, None)
    except Exception:  # noqa: BLE001 - whatever it is, there is no such attribute to be had
        return None


class _Accepts(NamedTuple):
    """The positional side of a signature."""

    names: tuple[str, ...]
    required: int
    variadic: bool
    keywords: tuple[str, ...]  # required, keyword-only: no server passes them

    @classmethod
    def of(cls, app: Callable[..., Any]) -> _Accepts | None:
        try:
            # A wrapper's own signature is what a call meets, not that of __wrapped__.
            parameters = inspect.signature(app, follow_wrapped=False).parameters.values()
        except Exception:  # noqa: BLE001 - builtins have none, proxies raise what they like
            return None
        positional = [
            p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
        return cls(
            names=tuple(p.name for p in positional),
            required=sum(p.default is p.empty for p in positional),
            variadic=any(p.kind is p.VAR_POSITIONAL for p in parameters),
            keywords=tuple(
                p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty
            ),
        )

    def fits(self, count: int) -> bool:
        return self.required <= count and (self.variadic or count <= len(self.names))

    @property
    def says_wsgi(self) -> bool:
        return not WSGI_NAMES.isdisjoint(self.names)

    @property
    def says_asgi(self) -> bool:
        return not ASGI_NAMES.isdisjoint(self.names)

    @property
    def optional(self) -> bool:
        """Callable without any argument, and not said to be an application by its names."""
        return not self.required and not (self.variadic or self.says_wsgi or self.says_asgi)

    def __str__(self) -> str:
        shown = [*self.names[: self.required]]
        shown += [f"{name}=..." for name in self.names[self.required :]]
        shown += ["*args"] * self.variadic
        return f"({', '.join(shown)})"


def _examine_coroutine(core: Any, accepts: _Accepts | None) -> Detection:
    if accepts is not None:
        if accepts.optional:
            raise _Unclear(
                "is a coroutine function that takes no arguments, so it is no application; "
                "a factory must be a plain function"
            )
        _refuse_keywords(accepts)
        if not accepts.fits(3):
            raise _Unclear(
                f"is a coroutine function, so it should be ASGI, but it takes {accepts}, "
                "not (scope, receive, send)"
            )
    if isinstance(core, types.FunctionType):
        return Detection("asgi", "coroutine function")
    return Detection("asgi", f"{type(core).__name__}.__call__ is a coroutine function")


def _examine_signature(accepts: _Accepts) -> Detection:
    if accepts.optional:
        raise _Unclear("can be called without arguments, so it looks like a factory: add --factory")
    _refuse_keywords(accepts)
    wsgi = accepts.fits(2) and not (accepts.says_asgi and not accepts.says_wsgi)
    asgi = accepts.fits(3) and not (accepts.says_wsgi and not accepts.says_asgi)
    if wsgi and asgi:
        raise _Unclear(f"takes {accepts}, which fits both WSGI and ASGI: {FLAGS}")
    if wsgi:
        return Detection("wsgi", f"signature {accepts}")
    if asgi:
        return Detection("asgi", f"signature {accepts}")
    if accepts.fits(1) and "scope" in accepts.names:
        return Detection("asgi2", f"signature {accepts}")
    raise _Unclear(
        f"takes {accepts}, which is neither WSGI (environ, start_response) "
        f"nor ASGI (scope, receive, send): name the application itself, or {FLAGS}"
    )


def _refuse_keywords(accepts: _Accepts) -> None:
    if accepts.keywords:
        raise _Unclear(
            f"needs the keyword argument '{accepts.keywords[0]}', which no server passes: "
            "bind it with functools.partial"
        )


def _examine_class(cls: type, accepts: _Accepts | None) -> Detection:
    """Detect a class: an application if making an instance is serving: PEP 3333's AppClass,
    an awaitable such as Starlette's endpoints, or ASGI 2. Else an instance was meant."""
    if accepts is not None and not accepts.keywords and not accepts.optional:
        if accepts.fits(3) and hasattr(cls, "__await__"):
            return Detection("asgi", f"class taking {accepts}, awaitable")
        if accepts.fits(2) and (hasattr(cls, "__iter__") or hasattr(cls, "__getitem__")):
            return Detection("wsgi", f"class taking {accepts}, iterable")
        if accepts.fits(1) and (accepts.names[:1] == ("scope",) or _serves_asgi2(cls)):
            return Detection("asgi2", f"class taking {accepts}")
    if accepts is None or accepts.required or accepts.keywords:
        raise _Unclear(f"is a class, not an application: name an instance of it, or {FLAGS}")
    raise _Unclear("is a class that needs no arguments: name an instance of it, or add --factory")


def _serves_asgi2(cls: type) -> bool:
    call = peek(cls, "__call__")
    if not inspect.iscoroutinefunction(call):
        return False
    accepts = _Accepts.of(call)
    return accepts is not None and accepts.names[1:] == ("receive", "send")


def _examine_wrapper(
    app: Any, core: Any, accepts: _Accepts | None, seen: tuple[int, ...]
) -> Detection:
    """Something that takes anything: ask what it wraps. A bare (*args) that wraps nothing
    visible is WSGI, for an ASGI one is as good as always a coroutine function."""
    if (wrapped := _lent(app, core)) is not None:
        inner = _examine(wrapped, seen)
        return Detection(inner.interface, f"{inner.how}, seen through what wraps it")
    found: dict[Interface, Detection] = {}
    for held in _held(core):
        try:
            detection = _examine(held, seen)
        except _Unclear:
            continue
        found.setdefault(detection.interface, detection)
    if len(found) == 1:
        (inner,) = found.values()
        return Detection(inner.interface, f"{inner.how}, seen through what wraps it")
    if found:
        raise _Unclear(f"takes anything and wraps both WSGI and ASGI: {FLAGS}")
    if accepts is None:
        raise _Unclear(f"does not tell which arguments it takes: {FLAGS}")
    _refuse_keywords(accepts)
    return Detection("wsgi", f"signature {accepts}, not a coroutine function")


def _lent(app: Any, core: Any) -> Any:
    """Return the callable behind functools.wraps, with the arguments that `app` binds."""
    wrapped = peek(core, "__wrapped__")
    if callable(wrapped):
        return _bind_again(app, wrapped)
    call = None if isinstance(core, types.FunctionType) else type(core).__call__
    wrapped = peek(call, "__wrapped__")
    if callable(wrapped):
        return _bind_again(app, types.MethodType(wrapped, core))
    return None


def _bind_again(app: Any, inner: Any) -> Any:
    if isinstance(app, functools.partial):
        return functools.partial(_bind_again(app.func, inner), *app.args, **app.keywords)
    if isinstance(app, types.MethodType):
        return types.MethodType(_bind_again(app.__func__, inner), app.__self__)
    return inner


def _held(core: Any) -> Iterator[Callable[..., Any]]:
    """Callables a wrapper holds on to: in its closure; or as attributes, by their usual names if
    there are such."""
    if isinstance(core, types.FunctionType):
        for cell in core.__closure__ or ():
            try:
                content = cell.cell_contents
            except ValueError:  # still empty
                continue
            if callable(content):
                yield content
        return
    held = {
        name: value
        for name, value in _attributes(core).items()
        if callable(value) and not isinstance(value, type)
    }
    yield from [held[name] for name in HELD_AS if name in held] or held.values()


def _attributes(core: Any) -> dict[str, Any]:
    """Return what an instance holds, in its dictionary and in its slots."""
    found: dict[str, Any] = {}
    for cls in type(core).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            found[name] = peek(core, name)
    attributes = peek(core, "__dict__")
    return found | attributes if isinstance(attributes, dict) else found
