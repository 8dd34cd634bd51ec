"""Middleware that the settings name, made and put around the application.

What lives here: from a name and texts to a middleware, and what is wrong with them. What must not:
how a middleware works (middleware/), how one is written in settings (config/named.py).

Imported only where a setting names a middleware. The values of an option are read by what the
signature of the middleware says of it, so the command line knows each option of each, and one's
own get the same treatment.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from bare_serve.app import LoadedApp, detect
from bare_serve.app.load import guarded, load_attribute
from bare_serve.asgi import asgi2_to_asgi3
from bare_serve.config import kinds
from bare_serve.config.named import Named
from bare_serve.config.settings import Settings
from bare_serve.errors import AppLoadError, UsageError, near, nearest
from bare_serve.middleware.registry import NAMES
from bare_serve.middleware.stack import wrap

_FOLDER = "bare_serve.middleware"


def check(settings: Settings) -> None:
    """Make each middleware of the table once, so that a start is refused for what is wrong.

    Those of users are imported where the application is.

    Raises:
        UsageError: there is none of that name, or a value is wrong.
    """
    for named in settings.middleware:
        if named.made is None and ":" not in named.name:
            _made(named, settings)


def around(loaded: LoadedApp, settings: Settings) -> LoadedApp:
    """Return the application with the middleware of the settings around it, files innermost.

    Raises:
        UsageError: a name or a value is wrong, or a middleware is for the other interface.
        AppLoadError: a middleware cannot be imported or made.
    """
    app, interface = loaded.app, loaded.interface
    if interface == "asgi2":
        app, interface = asgi2_to_asgi3(app), "asgi"
    made = [
        _applied(named, _made(named, settings), interface, settings)
        for named in settings.middleware
    ]
    if settings.static or settings.dev:
        made += import_module("bare_serve.server.static").static_policies(settings)
    app = wrap(app, *made, interface=interface)
    direct = None
    if settings.static and not settings.middleware:
        direct = import_module("bare_serve.middleware.static_direct").direct_files(made)
    return loaded._replace(app=app, interface=interface, direct=direct)


def _label(named: Named, settings: Settings) -> str:
    source = settings.sources.get("middleware", "")
    if source == "command line":
        return f"--middleware {named.name}"
    return f"middleware {named.name} ({source})"


def _made(named: Named, settings: Settings) -> Any:
    """Return a policy, or a callable that takes an application."""
    label = _label(named, settings)
    found: Any = named.made
    theirs = True
    if found is None and named.name in NAMES:
        module, _, attribute = NAMES[named.name].partition(":")
        found = getattr(import_module(f"{_FOLDER}.{module}"), attribute)
        theirs = False
    elif found is None and ":" in named.name:
        try:
            found = load_attribute(named.name, settings.app_dir)
        except (UsageError, AppLoadError) as error:
            error.args = (f"{label}: {error}",)
            raise
    elif found is None:
        _refuse_name(named, label)
    is_class = isinstance(found, type)
    is_policy = callable(getattr(found, "begin", None))
    if not callable(found) and not is_policy:
        raise UsageError(f"{label}: {type(found).__name__} is no middleware, and no class of one")
    if is_policy and not is_class:
        if named.options:
            raise UsageError(f"{label}: this is made already, and takes no options")
        return found
    arguments = _arguments(found, named, label, settings)
    given = () if is_policy else (None,)  # the application
    try:
        inspect.signature(found).bind(*given, **arguments)
    except TypeError as error:
        raise UsageError(f"{label}: {error}") from None
    except ValueError:  # built in, without a signature
        pass
    make = partial(found, **arguments)
    if not is_policy:
        return make
    try:
        return guarded(make, label, "while it was made") if theirs else make()
    except (ValueError, TypeError) as error:
        raise UsageError(f"{label}: {error}") from None
    except OSError as error:
        raise UsageError(f"{label}: cannot read {error.filename!r}: {error.strerror}") from None


def _refuse_name(named: Named, label: str) -> None:
    others = "" if near(named.name, NAMES) else f"; there are {', '.join(NAMES)}"
    raise UsageError(
        f"{label}: there is no middleware of that name{nearest(named.name, NAMES)}{others}; "
        "one of your own is named module:attribute"
    )


def _applied(named: Named, made: Any, interface: str, settings: Settings) -> Any:
    """Return a policy as it is; of a classic middleware a callable that is watched."""
    if callable(getattr(made, "begin", None)):
        return made
    label = _label(named, settings)

    def apply(app: Callable[..., Any]) -> Callable[..., Any]:
        outer: Any = guarded(lambda: made(app), label, "while it was put around the application")
        if not callable(outer):
            raise UsageError(
                f"{label}: a middleware returns an application, not {type(outer).__name__}"
            )
        try:
            found = detect(outer).interface
        except AppLoadError:  # it takes anything, as wrappers do
            return outer  # type: ignore[no-any-return]
        if found != interface:
            kinds_of = {"wsgi": "WSGI", "asgi": "ASGI", "asgi2": "ASGI 2"}
            raise UsageError(
                f"{label}: this is middleware for {kinds_of[found]}, and the application is "
                f"{kinds_of[interface]}"
            )
        return outer  # type: ignore[no-any-return]

    return apply


# ------------------------------------------------------------------ values


def _arguments(
    found: Callable[..., Any], named: Named, label: str, settings: Settings
) -> dict[str, Any]:
    """Return the options as keyword arguments of what takes them."""
    try:
        parameters: Mapping[str, inspect.Parameter] = inspect.signature(found).parameters
    except (TypeError, ValueError):  # built in
        parameters = {}
    anything = not parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    known = {
        name.replace("_", "-"): each
        for name, each in parameters.items()
        if each.kind in (each.KEYWORD_ONLY, each.POSITIONAL_OR_KEYWORD)
    }
    arguments: dict[str, Any] = {}
    for key, values in named.options:
        shown = key.replace("_", "-")
        name = key.replace("-", "_")
        if shown not in known and not anything:
            there = f"; it has {', '.join(known)}" if known and not near(shown, known) else ""
            raise UsageError(f"{label}: it has no option {shown}{nearest(shown, known)}{there}")
        parameter = known.get(shown)
        wanted = str(getattr(parameter, "annotation", "")) if parameter is not None else ""
        read = _read(wanted, values, f"{label}: {shown}", settings.app_dir)
        if name in arguments:
            if not isinstance(read, tuple):
                raise UsageError(f"{label}: {shown} is given twice")
            read = arguments[name] + read
        arguments[name] = read
    return arguments


_LISTS = ("Iterable[", "Sequence[", "list[", "tuple[", "set[", "frozenset[", "Collection[")


def _read(wanted: str, values: tuple[object, ...], where: str, app_dir: Path) -> Any:
    """Return what the values of one option say, by the annotation of the parameter."""
    wanted = wanted.removeprefix("typing.").removeprefix("collections.abc.")
    kind = wanted.removesuffix(" | None")
    if kind.startswith(_LISTS):
        return tuple(str(value) if isinstance(value, str) else value for value in values)
    value: object = values[0] if len(values) == 1 else None
    if value is None:
        if not all(isinstance(each, str) for each in values):
            raise UsageError(f"{where}: one value is wanted, not a list")
        value = ",".join(map(str, values))
    if kind.startswith("Callable["):
        return load_attribute(value, app_dir) if isinstance(value, str) else value
    if kind in _KINDS or kind in ("<class 'int'>", "<class 'bool'>", "<class 'str'>"):
        name = kind.removeprefix("<class '").removesuffix("'>")
        return kinds.read(_KINDS[name], value, where)
    return _literal(value) if isinstance(value, str) else value


_KINDS = {
    "Size": kinds.size(0),
    "Seconds": kinds.duration(),
    "int": kinds.whole(0),
    "bool": kinds.SWITCH,
    "str": kinds.Kind("a text", lambda raw: _text(raw)),
}


def _text(raw: object) -> str:
    if not isinstance(raw, str) or not raw.isprintable():
        raise ValueError
    return raw


def _literal(text: str) -> object:
    """Return what a text says to a parameter that does not say what it takes."""
    words: dict[str, object] = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        found: object = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    return found if isinstance(found, int | float | str) else text
