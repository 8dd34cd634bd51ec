"""WSGI or ASGI is told by looking: one table of real and made-up applications, one of doubts.

Every made-up callable raises when called, so a detection that calls the application fails.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.validate import validator

import pytest
from asgiref.wsgi import WsgiToAsgi
from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount, Router
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from bare_serve.app import detect
from bare_serve.errors import AppLoadError


class CalledError(Exception):
    """Detection called what it should only look at."""


def wsgi_app(environ, start_response):
    raise CalledError


async def asgi_app(scope, receive, send):
    raise CalledError


def plain_asgi(scope, receive, send):
    raise CalledError


def unnamed_two(a, b):
    raise CalledError


def unnamed_three(a, b, c):
    raise CalledError


def generator_app(environ, start_response):
    raise CalledError
    yield b""


def generator_optional(a, b, c=None):
    raise CalledError
    yield b""


@types.coroutine
def old_coroutine(scope, receive, send):
    raise CalledError
    yield


def configured_wsgi(config, environ, start_response):
    raise CalledError


async def configured_asgi(config, scope, receive, send):
    raise CalledError


def extra_wsgi(environ, start_response, exc=None):
    raise CalledError


def extra_asgi(scope, receive, send=None):
    raise CalledError


def all_optional(environ=None, start_response=None):
    raise CalledError


def asgi2_function(scope):
    raise CalledError


def naked(app):
    """A decorator that forgets functools.wraps."""

    def wrapper(*args, **kwargs):
        raise CalledError(app)

    return wrapper


def polite(app):
    """A decorator that uses functools.wraps."""

    @functools.wraps(app)
    def wrapper(*args, **kwargs):
        raise CalledError

    return wrapper


class OddlyNamed:
    """Middleware that calls what it wraps by a name of its own."""

    def __init__(self, inner):
        self.inner = inner

    def __call__(self, *args, **kwargs):
        raise CalledError


class HolderInSlots:
    __slots__ = ("inner", "unset")

    def __init__(self, inner):
        self.inner = inner

    def __call__(self, *args, **kwargs):
        raise CalledError


def naked_async(app):
    async def wrapper(*args, **kwargs):
        raise CalledError(app)

    return wrapper


def wsgi_around(app):
    """An adapter: what it wraps is lent by functools.wraps, and is not what it speaks."""

    @functools.wraps(app)
    def wrapper(environ, start_response):
        raise CalledError

    return wrapper


def asgi_around(app):
    @functools.wraps(app)
    async def wrapper(scope, receive, send):
        raise CalledError

    return wrapper


class Callable2:
    def __call__(self, environ, start_response):
        raise CalledError

    def method(self, environ, start_response):
        raise CalledError

    async def amethod(self, scope, receive, send):
        raise CalledError

    @classmethod
    def on_class(cls, scope, receive, send):  # noqa: ARG003
        raise CalledError

    @staticmethod
    def on_none(a, b):  # noqa: ARG004
        raise CalledError


class CoroutineCall:
    async def __call__(self, scope, receive, send):
        raise CalledError


class GeneratorCall:
    def __call__(self, environ, start_response):
        raise CalledError
        yield b""


class Holder:
    def __init__(self, app):
        self.app = app

    def __call__(self, *args, **kwargs):
        raise CalledError

    @polite
    def lent(self, environ, start_response):
        raise CalledError


class LentCall:
    @polite
    async def __call__(self, scope, receive, send):
        raise CalledError


class Pep3333Class:
    def __init__(self, environ, start_response):
        raise CalledError

    def __iter__(self):
        raise CalledError


class Asgi2Class:
    def __init__(self, scope):
        raise CalledError

    async def __call__(self, receive, send):
        raise CalledError


class Asgi2OtherName:
    def __init__(self, connection):
        raise CalledError

    async def __call__(self, receive, send):
        raise CalledError


class Moody:
    """Raises for every attribute it does not have, and not AttributeError."""

    def __getattr__(self, name):
        raise RuntimeError(name)

    def __call__(self, *args):
        raise CalledError


class HiddenCoroutine:
    __signature__ = "none"

    async def __call__(self, *args):
        raise CalledError


class Slotted:
    __slots__ = ()

    def __call__(self, *args):
        raise CalledError


class Marked:
    """What asgiref.sync.markcoroutinefunction makes of an instance."""

    def __init__(self):
        mark = getattr(inspect, "markcoroutinefunction", None)
        if mark is not None:
            mark(self)
        else:
            from asyncio import coroutines

            self._is_coroutine = coroutines._is_coroutine

    def __call__(self, *args):
        raise CalledError


class Endpoint(HTTPEndpoint):
    """Starlette's class-based endpoints are awaitable when made."""


def empty_cell():
    def wrapper(*args):
        raise CalledError(late)

    if wrapper is None:
        late = None
    return wrapper


KNOWN: dict[str, tuple[Callable[[], Any], str, str]] = {
    "flask": (lambda: Flask("x"), "wsgi", "signature (environ, start_response)"),
    "flask, wsgi_app": (lambda: Flask("x").wsgi_app, "wsgi", "signature (environ"),
    "flask behind ProxyFix": (lambda: ProxyFix(Flask("x").wsgi_app), "wsgi", "signature (environ"),
    "flask mounted": (
        lambda: DispatcherMiddleware(Flask("x"), {"/y": Flask("y")}),
        "wsgi",
        "signature (environ, start_response)",
    ),
    "starlette": (lambda: Starlette(), "asgi", "Starlette.__call__ is a coroutine function"),
    "starlette in middleware": (lambda: GZipMiddleware(Starlette()), "asgi", "GZipMiddleware"),
    "starlette mount": (lambda: Mount("/a", app=Starlette()), "asgi", "Mount.__call__"),
    "starlette router": (lambda: Router(), "asgi", "Router.__call__"),
    "starlette endpoint": (lambda: Endpoint, "asgi", "awaitable"),
    "fastapi": (lambda: FastAPI(), "asgi", "FastAPI.__call__ is a coroutine function"),
    "asgiref": (lambda: WsgiToAsgi(wsgi_app), "asgi", "WsgiToAsgi.__call__"),
    "wrapper of an odd name, asgi": (lambda: OddlyNamed(asgi_app), "asgi", "seen through"),
    "wrapper of an odd name, wsgi": (lambda: OddlyNamed(wsgi_app), "wsgi", "seen through"),
    "wrapper with slots, asgi": (lambda: HolderInSlots(asgi_app), "asgi", "seen through"),
    "validator": (lambda: validator(wsgi_app), "wsgi", "seen through what wraps it"),
    "validator of flask": (lambda: validator(Flask("x")), "wsgi", "seen through"),
    "function, wsgi": (lambda: wsgi_app, "wsgi", "signature (environ, start_response)"),
    "function, asgi": (lambda: asgi_app, "asgi", "coroutine function"),
    "function, asgi, no coroutine": (
        lambda: plain_asgi,
        "asgi",
        "signature (scope, receive, send)",
    ),
    "function of two": (lambda: unnamed_two, "wsgi", "signature (a, b)"),
    "function of three": (lambda: unnamed_three, "asgi", "signature (a, b, c)"),
    "lambda of two": (lambda: lambda e, s: 1 / 0, "wsgi", "signature (e, s)"),
    "lambda of three": (lambda: lambda s, r, d: 1 / 0, "asgi", "signature (s, r, d)"),
    "generator": (lambda: generator_app, "wsgi", "generator function"),
    "generator, tie": (lambda: generator_optional, "wsgi", "generator function"),
    "generator method": (lambda: GeneratorCall(), "wsgi", "generator function"),
    "types.coroutine": (lambda: old_coroutine, "asgi", "coroutine function"),
    "tie by environ": (
        lambda: extra_wsgi,
        "wsgi",
        "signature (environ, start_response, exc=...)",
    ),
    "tie by scope": (lambda: extra_asgi, "asgi", "signature (scope, receive, send=...)"),
    "names beat nothing required": (lambda: all_optional, "wsgi", "signature (environ=...,"),
    "environ and more": (lambda: lambda environ, *rest: 1 / 0, "wsgi", "(environ, *args)"),
    "scope and more": (lambda: lambda scope, *rest: 1 / 0, "asgi", "(scope, *args)"),
    "partial, wsgi": (lambda: functools.partial(configured_wsgi, {}), "wsgi", "signature (environ"),
    "partial, asgi": (lambda: functools.partial(configured_asgi, {}), "asgi", "coroutine function"),
    "partial by keyword": (
        lambda: functools.partial(lambda environ, start_response, *, db: 1 / 0, db=1),
        "wsgi",
        "signature (environ, start_response)",
    ),
    "partial in partial": (
        lambda: functools.partial(functools.partial(configured_asgi), {}),
        "asgi",
        "coroutine function",
    ),
    "partial of an instance": (lambda: functools.partial(CoroutineCall()), "asgi", "__call__"),
    "partial of a method": (lambda: functools.partial(Callable2().amethod), "asgi", "coroutine"),
    "method of a partial": (
        lambda: types.MethodType(functools.partial(configured_asgi), {}),
        "asgi",
        "coroutine function",
    ),
    "bound method": (lambda: Callable2().method, "wsgi", "signature (environ, start_response)"),
    "bound coroutine method": (lambda: Callable2().amethod, "asgi", "coroutine function"),
    "class method": (lambda: Callable2.on_class, "asgi", "signature (scope, receive, send)"),
    "static method": (lambda: Callable2.on_none, "wsgi", "signature (a, b)"),
    "instance, wsgi": (lambda: Callable2(), "wsgi", "signature (environ, start_response)"),
    "instance, asgi": (lambda: CoroutineCall(), "asgi", "CoroutineCall.__call__ is a coroutine"),
    "instance marked": (lambda: Marked(), "asgi", "Marked.__call__ is a coroutine"),
    "class, pep 3333": (lambda: Pep3333Class, "wsgi", "class taking (environ, start_response)"),
    "class, asgi 2": (lambda: Asgi2Class, "asgi2", "class taking (scope)"),
    "class, asgi 2, any name": (lambda: Asgi2OtherName, "asgi2", "class taking (connection)"),
    "partial of an asgi 2 class": (
        lambda: functools.partial(Asgi2Class),
        "asgi2",
        "class taking (scope)",
    ),
    "function, asgi 2": (lambda: asgi2_function, "asgi2", "signature (scope)"),
    "naked wrapper of wsgi": (lambda: naked(wsgi_app), "wsgi", "signature (environ"),
    "naked wrapper of asgi": (lambda: naked(asgi_app), "asgi", "coroutine function, seen"),
    "naked wrapper of starlette": (lambda: naked(Starlette()), "asgi", "seen through"),
    "naked coroutine wrapper": (lambda: naked_async(wsgi_app), "asgi", "coroutine function"),
    "naked twice": (lambda: naked(naked(asgi_app)), "asgi", "seen through"),
    "naked wrapper of what is unclear": (lambda: naked(len), "wsgi", "signature (*args)"),
    "naked wrapper of nothing": (lambda: naked(None), "wsgi", "signature (*args), not a coroutine"),
    "naked wrapper, empty cell": (empty_cell, "wsgi", "signature (*args)"),
    "polite wrapper of wsgi": (lambda: polite(wsgi_app), "wsgi", "signature (environ"),
    "polite wrapper of asgi": (lambda: polite(asgi_app), "asgi", "coroutine function, seen"),
    "polite wrapper of flask": (lambda: polite(Flask("x")), "wsgi", "signature (environ"),
    "polite, partial": (
        lambda: functools.partial(polite(configured_asgi), {}),
        "asgi",
        "coroutine function, seen",
    ),
    "polite, method": (lambda: Holder(None).lent, "wsgi", "signature (environ, start_response)"),
    "polite __call__": (lambda: LentCall(), "asgi", "coroutine function, seen"),
    "cached": (lambda: functools.lru_cache(wsgi_app), "wsgi", "signature (environ"),
    "adapter to wsgi": (lambda: wsgi_around(asgi_app), "wsgi", "signature (environ"),
    "adapter to asgi": (lambda: asgi_around(wsgi_app), "asgi", "coroutine function"),
    "holder of wsgi": (lambda: Holder(wsgi_app), "wsgi", "seen through"),
    "holder of asgi": (lambda: Holder(asgi_app), "asgi", "seen through"),
    "holder of nothing": (lambda: Holder(None), "wsgi", "signature (*args)"),
    "coroutine without a signature": (lambda: HiddenCoroutine(), "asgi", "HiddenCoroutine.__call"),
    "holder of nothing, slots": (lambda: Slotted(), "wsgi", "signature (*args)"),
}


@pytest.mark.parametrize("name", KNOWN)
def test_tells(name: str) -> None:
    make, interface, how = KNOWN[name]
    detection = detect(make())
    assert detection.interface == interface
    assert how in detection.how


@pytest.fixture
def django() -> Iterator[None]:
    """Django configured with nothing, and put back: its settings belong to the process."""
    from django import conf

    before, conf.settings._wrapped = conf.settings._wrapped, conf.empty
    conf.settings.configure(STATIC_URL="static/")
    yield
    conf.settings._wrapped = before


@pytest.mark.usefixtures("django")
def test_tells_django() -> None:
    from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
    from django.core.handlers.asgi import ASGIHandler
    from django.core.handlers.wsgi import WSGIHandler

    assert detect(WSGIHandler()).interface == "wsgi"
    assert detect(ASGIHandler()).interface == "asgi"
    assert detect(ASGIStaticFilesHandler(ASGIHandler())).interface == "asgi"


def factory():
    raise CalledError


def optional_factory(config=None, debug=False):
    raise CalledError


def one_argument(request):
    raise CalledError


def four(a, b, c, d):
    raise CalledError


def needs_keyword(environ, start_response, *, db):
    raise CalledError


def wrapper_with_keyword(*args, db):
    raise CalledError


async def async_needs_keyword(scope, receive, send, *, db):
    raise CalledError


async def async_factory():
    raise CalledError


async def async_view(request):
    raise CalledError


async def async_generator(scope, receive, send):
    raise CalledError
    yield


def asgi_generator(scope, receive, send):
    raise CalledError
    yield


def both(app, other):
    def wrapper(*args):
        raise CalledError(app, other)

    return wrapper


def wraps_itself():
    def wrapper(*args):
        raise CalledError

    wrapper.__wrapped__ = wrapper
    return wrapper


class Middleware:
    def __init__(self, app):
        raise CalledError

    async def __call__(self, scope, receive, send):
        raise CalledError


class TwoArguments:
    def __init__(self, app, config):
        raise CalledError


class SyncOneArgument:
    def __init__(self, app):
        raise CalledError

    def __call__(self, environ, start_response):
        raise CalledError


class AnyArguments:
    def __init__(self, *args):
        raise CalledError


class KeywordArguments:
    def __init__(self, *, db):
        raise CalledError


class NoSignature:
    """Says it is callable and hides how."""

    __signature__ = "none"

    def __call__(self):
        raise CalledError


class Proxy:
    """Like a context-bound proxy: every attribute raises outside its context."""

    def __getattribute__(self, name):
        raise RuntimeError("outside of context")

    def __call__(self, environ, start_response):
        raise CalledError


DOUBTS: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "factory": (lambda: factory, ["looks like a factory", "--factory"]),
    "factory with options": (lambda: optional_factory, ["looks like a factory", "--factory"]),
    "factory cached": (lambda: functools.cache(factory), ["--factory"]),
    "factory polite": (lambda: polite(factory), ["--factory"]),
    "lambda factory": (lambda: lambda: 1 / 0, ["--factory"]),
    "coroutine factory": (lambda: async_factory, ["plain function", "takes no arguments"]),
    "coroutine of one": (lambda: async_view, ["takes (request), not (scope, receive, send)"]),
    "one argument": (lambda: one_argument, ["takes (request)", "neither", "--wsgi", "--asgi"]),
    "four": (lambda: four, ["takes (a, b, c, d)", "--wsgi"]),
    "tie": (
        lambda: lambda a, b, c=1: 1 / 0,
        ["(a, b, c=...)", "both", "--wsgi", "--asgi", "--interface"],
    ),
    "tie by names of both": (
        lambda: lambda environ, start_response, scope=1: 1 / 0,
        ["both", "--wsgi", "--asgi"],
    ),
    "two called scope": (lambda: lambda scope, receive: 1 / 0, ["neither"]),
    "three called environ": (lambda: lambda x, environ, start: 1 / 0, ["neither"]),
    "unbound method": (lambda: Callable2.method, ["(self, environ, start_response)", "neither"]),
    "keyword": (lambda: needs_keyword, ["keyword argument 'db'", "functools.partial"]),
    "keyword of a wrapper": (lambda: wrapper_with_keyword, ["keyword argument 'db'"]),
    "keyword of a coroutine": (lambda: async_needs_keyword, ["keyword argument 'db'"]),
    "async generator": (lambda: async_generator, ["asynchronous generator", "yield"]),
    "generator of three": (lambda: asgi_generator, ["generator function, which only WSGI"]),
    "wraps both": (lambda: both(wsgi_app, asgi_app), ["both WSGI and ASGI", "--wsgi"]),
    "wraps itself": (wraps_itself, ["wraps itself", "--asgi"]),
    "class of asgi": (lambda: CoroutineCall, ["is a class", "instance", "--factory"]),
    "class of fastapi": (lambda: FastAPI, ["is a class", "--factory"]),
    "class of flask": (lambda: Flask, ["is a class, not an application", "instance"]),
    "class of middleware": (lambda: Middleware, ["is a class, not an application"]),
    "class of two": (lambda: TwoArguments, ["is a class, not an application"]),
    "class of one": (lambda: SyncOneArgument, ["is a class, not an application"]),
    "class of any": (lambda: AnyArguments, ["is a class that needs no arguments"]),
    "class of keywords": (lambda: KeywordArguments, ["is a class, not an application"]),
    "class without a signature": (lambda: type, ["is a class"]),
    "no signature": (lambda: NoSignature(), ["does not tell which arguments", "--wsgi"]),
    "builtin without a signature": (lambda: min, ["does not tell"]),
    "proxy": (lambda: Proxy(), ["cannot be looked at (RuntimeError: outside of", "--wsgi"]),
    "moody": (lambda: Moody(), ["cannot be looked at (RuntimeError: ", "--wsgi"]),
    "not callable": (lambda: "app", ["is not callable (it is of type str)"]),
    "none": (lambda: None, ["is None"]),
    "module": (lambda: functools, ["is the module 'functools'"]),
}


@pytest.mark.parametrize("name", DOUBTS)
def test_refuses_when_in_doubt(name: str) -> None:
    make, words = DOUBTS[name]
    with pytest.raises(AppLoadError) as caught:
        detect(make(), "'x:app'")
    message = str(caught.value)
    assert message.startswith("'x:app' ")
    assert [word for word in words if word not in message] == []
    assert caught.value.details == ""
