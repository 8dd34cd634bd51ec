"""What is to be served, before it is imported.

What lives here: from the settings to the place an application comes from, and its import when the
time has come: in a worker, or in the master if it is preloaded. What must not: what it is then used
for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from bare_serve.app import (
    Found,
    LoadedApp,
    check_target,
    find_target,
    load,
    load_object,
    may_have_application,
)
from bare_serve.config.settings import Settings
from bare_serve.errors import UsageError

INTERFACES = {"asgi": "ASGI 3", "asgi2": "ASGI 2", "wsgi": "WSGI"}

# Set while the application is imported, to notice a script that serves itself.
_loading: ContextVar[bool] = ContextVar("_loading", default=False)


class Application(NamedTuple):
    """A target's text, or the object itself; and how it was found."""

    target: str
    how: str
    app: Callable[..., Any] | None = None
    directory: Path | None = None
    """What it is imported from, if that is not --app-dir."""

    def load(self, settings: Settings, *, on_path: bool = True) -> LoadedApp:
        """Import it and see what it is; `on_path` puts --app-dir on sys.path.

        Raises:
            AppLoadError: there is no serving it.
            UsageError: not with these settings.
        """
        loaded = self._load(settings, on_path)
        if loaded.interface == "wsgi" and settings.lifespan == "on":
            raise UsageError("--lifespan on: the application is WSGI, which has no lifespan")
        return loaded

    def _load(self, settings: Settings, on_path: bool) -> LoadedApp:
        factory, interface = settings.factory, settings.interface
        token = _loading.set(True)
        try:
            if self.app is not None:
                return load_object(
                    self.app, factory=factory, interface=interface, target=self.target
                )
            return load(
                self.target,
                app_dir=self.directory or settings.app_dir,
                factory=factory,
                interface=interface,
                on_path=on_path or self.directory is not None,
            )
        finally:
            _loading.reset(token)


def find_application(
    settings: Settings, app: Callable[..., Any] | None, caller: str = "run()"
) -> Application:
    """Find what to serve, importing nothing: the master stays free of the application.

    `caller` is what an `app` was given to.
    """
    if app is not None:
        name = getattr(app, "__qualname__", type(app).__qualname__)
        return Application(f"{getattr(app, '__module__', '?')}:{name}", f"given to {caller}", app)
    if settings.demo:
        kind = "wsgi" if settings.interface == "wsgi" else "asgi"
        return Application(f"bare_serve.app.demo:{kind}", "the built-in demo")
    if settings.app is None:
        try:
            found = find_target(settings.app_dir, settings.interface)
        except UsageError:
            if not settings.static or may_have_application(settings.app_dir):
                raise
            kind = "wsgi" if settings.interface in ("auto", "wsgi") else "asgi"
            return Application(f"bare_serve.app.nothing:{kind}", "none: --static alone")
        source = Application(found.target, found.how, directory=found.directory)
    elif (meant := _meant(settings.app, settings)) is not None:
        source = Application(meant.target, meant.how, directory=meant.directory)
    else:
        place = settings.sources.get("app", "")
        typed = place in ("command line", caller)
        source = Application(settings.app, "" if typed else f"from the {place}")
    check_target(source.target, source.directory or settings.app_dir)
    return source


def _meant(text: str, settings: Settings) -> Found | None:
    """Return what a directory or a manage.py means that was named; None for any other text."""
    if ":" in text or not ("/" in text or text in (".", "..", "manage.py")):
        return None
    find_meant = import_module("bare_serve.app.meant").find_meant  # few name one
    found: Found | None = find_meant(text, settings.app_dir, settings.interface)
    return found


def surrounded(loaded: LoadedApp, settings: Settings) -> LoadedApp:
    """Return the application with middleware and static files around it, if the settings have any,
    or if it is a Django project under --dev.

    Raises:
        UsageError: a middleware is none, or is not for this application.
        AppLoadError: it cannot be imported or made.
    """
    may_have_files = settings.dev and "django.conf" in sys.modules
    if not (settings.middleware or settings.static or may_have_files):
        return loaded
    made: LoadedApp = import_module("bare_serve.server.middleware").around(loaded, settings)
    return made


def application_given(
    target: str | Callable[..., Any] | None, options: Mapping[str, Any], caller: str
) -> tuple[dict[str, Any], Callable[..., Any] | None]:
    """Return the options with the target's text among them, and the application if it is one.

    Raises:
        UsageError: `caller`, a function for users, was given no such thing, or two of them.
    """
    asked = dict(options)
    if target is not None and (asked.get("demo") or asked.get("app")):
        raise UsageError(f"{caller}() was given two applications; give only one")
    if not (target is None or isinstance(target, str) or callable(target)):
        raise UsageError(f"{caller}() serves a target's text or an application, not {target!r}")
    if not isinstance(target, str):
        return asked, target
    asked["app"] = target
    return asked, None


def is_loading() -> bool:
    """Return whether an application is being imported, and this is called by it."""
    return _loading.get()


def with_reason(fact: str, reason: str) -> str:
    """Join a fact and, in parentheses, the reason for it, if there is one."""
    return f"{fact} ({reason})" if reason else fact
