"""A server under development, from settings: what is watched, and what its workers are made of.

What lives here: another class of server, chosen by --reload when the process starts, so that no
other server pays for it. What must not: the master's decisions, the watcher and the pages (dev/).
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING, cast

from bare_serve.app import LoadedApp
from bare_serve.config.development import ENV_FILE
from bare_serve.config.settings import Settings
from bare_serve.config.sources import OWN_FILE
from bare_serve.dev.development import Development
from bare_serve.dev.patience import PatientLifecycle
from bare_serve.dev.placeholder import application as placeholder
from bare_serve.dev.state import BrowserOptions, DevState, record_of
from bare_serve.dev.supervisor import DevSupervisor
from bare_serve.dev.telling import TellingSlot
from bare_serve.dev.watcher_process import WatcherProcess
from bare_serve.dev.watching import Rules
from bare_serve.errors import AppLoadError, BareServeError
from bare_serve.logs import console, error_log
from bare_serve.server.application import INTERFACES
from bare_serve.server.boot import Boot, Preloaded
from bare_serve.server.server import Server
from bare_serve.server.state import State
from bare_serve.supervision import Callbacks, Handover, Policy, SignalQueue, Supervisor, Work
from bare_serve.system.privileges import Identity
from bare_serve.workers.slot import Slot

if TYPE_CHECKING:
    from bare_serve.supervision.worker_process import WorkerSlot

logger = logging.getLogger("bare_serve.supervision")

_FILES_OF_DJANGO = "django static"
"""The name of what a worker tells of these."""


def rules_of(settings: Settings, target: str, directory: Path | None = None) -> Rules:
    """Return what is to be watched for an application of this target.

    `directory` is what it is imported from, if that is not --app-dir.
    """
    here = Path.cwd()
    tops = [here / each for each in settings.reload_dir] or [here / settings.app_dir]
    if not settings.reload_dir and directory is not None:
        tops.append(here / directory)
    file, _, _ = target.partition(".py:")
    if not settings.reload_dir and "/" in file:
        tops.append((here / settings.app_dir / file).parent)
    files = {here / OWN_FILE, here / settings.app_dir / OWN_FILE}
    files |= {here / each for each in (settings.config, settings.env_file) if each}
    if settings.dev:
        files |= {here / ENV_FILE, here / settings.app_dir / ENV_FILE}
    for place in settings.sources.values():
        if place.startswith("file "):
            files.add(Path(place.removeprefix("file ")))
    includes = []
    for pattern in settings.reload_include:
        path = here / pattern
        if path.is_file():
            files.add(path)
        elif path.is_dir():
            tops.append(path)
            includes.append(f"{os.path.abspath(path)}/*")  # noqa: PTH100
        else:
            includes.append(pattern)
    return Rules(
        _outermost(tops),
        tuple(includes),
        settings.reload_exclude,
        tuple(sorted(map(os.path.abspath, files))),
    )


def _outermost(directories: Iterable[Path]) -> tuple[str, ...]:
    """Return the directories that lie in none of the others."""
    found = dict.fromkeys(Path(os.path.abspath(each)) for each in directories)  # noqa: PTH100
    return tuple(str(each) for each in found if not any(up in found for up in each.parents))


def _watchfiles() -> str:
    """Return where that package is; empty if it is not installed."""
    spec = importlib.util.find_spec("watchfiles")
    return "" if spec is None or spec.origin is None else str(Path(spec.origin).parents[1])


def server(
    state: State, identity: Identity | None, ops_listener: socket | None, handover: Handover
) -> DevServer:
    """Return the server; files that change from now on have changed."""
    handover.dev, inherited = -1, handover.dev
    shared = DevState(inherited)
    handover.dev = shared.fd
    application = state.application
    rules = rules_of(state.settings, application.target, application.directory)
    watcher = WatcherProcess(rules, _watchfiles(), handover.seen)
    development = Development(shared, watcher)
    return DevServer(development, state, identity, ops_listener)


def tell_trial(fd: int, error: BareServeError) -> None:
    """As the trial of a new server, tell the master's workers why it fails."""
    DevState(fd).failed(record_of(_message_of(error), _details_of(error), _structure_of(error)))


def _structure_of(error: BareServeError) -> str:
    """Return the JSON of the structure of the application's exception; empty if it has none."""
    origin = error.origin if isinstance(error, AppLoadError) else None
    if origin is None:
        return ""
    failure = import_module("bare_serve.dev.failure")
    return str(failure.to_json(failure.describe(origin)))


def _message_of(error: BareServeError) -> str:
    """Return the message without the traceback that a framework has put into it (Starlette does, in
    lifespan.startup.failed) where the exception itself is known."""
    if isinstance(error, AppLoadError) and error.origin is not None:
        return str(error).partition(": Traceback (most recent call last):")[0]
    return str(error)


def _details_of(error: BareServeError) -> str:
    """Return the traceback of the application's exception as the log shows it."""
    if not isinstance(error, AppLoadError):
        return ""
    if error.origin is None:
        return error.details
    terminal = import_module("bare_serve.dev.terminal")
    return str(terminal.of_exception(error.origin, error_log.is_coloured()))


class DevServer(Server):
    """Has workers tell what they consist of, and wraps what they serve."""

    def __init__(
        self,
        development: Development,
        state: State,
        identity: Identity | None,
        ops_listener: socket | None = None,
    ) -> None:
        super().__init__(state, identity, ops_listener)
        self._development = development
        settings = state.settings
        self._is_banner_of_stand_in = False
        self._telling: TellingSlot | None = None
        self._serves_files_of_django = False
        development.on_first = self._first_serves
        self._browser = BrowserOptions(settings.error_page, settings.live)

    def supervisor(
        self,
        policy: Policy,
        callbacks: Callbacks,
        handover: Handover,
        signals: SignalQueue,
        works: list[Work],
    ) -> Supervisor:
        """Return the master that keeps such workers."""
        return DevSupervisor(self._development, policy, callbacks, handover, signals, works)

    def works(self) -> list[Work]:
        """See `Server`: and the watcher."""
        return [*super().works(), self._development.watcher]

    def preload(self, others_serve: bool) -> None:
        """See `Server`; what cannot be loaded waits for the mend."""
        try:
            super().preload(others_serve)
        except BareServeError as error:
            details = _details_of(error)
            self._development.failed(_message_of(error), details, _structure_of(error))
            self._development.is_broken = True
            self._say_why(error, details)

    @staticmethod
    def _say_why(error: BareServeError, details: str) -> None:
        then = "It is tried again once a file changes."
        logger.error("%s%s. %s", f"{details}\n" if details else "", error, then)

    def _slot(self, slot: WorkerSlot) -> Slot:
        self._development.state.only_read()
        self._telling = TellingSlot(slot)
        return cast("Slot", self._telling)

    def _tell_failure(self, slot: WorkerSlot, error: BareServeError) -> None:
        TellingSlot(slot).tell(error.origin if isinstance(error, AppLoadError) else None)
        slot.failed(_message_of(error), _details_of(error), _structure_of(error))

    def _boot(self) -> Boot:
        boot = super()._boot()._replace(wrap=self._wrapped, lifecycle=PatientLifecycle)
        if not self._development.is_broken:
            return boot
        target = self._state.application.target
        stand_in = LoadedApp(placeholder, "wsgi", target, "in its place, until it starts")
        return boot._replace(preloaded=Preloaded(stand_in))

    def _wrapped(self, loaded: LoadedApp) -> LoadedApp:
        wrap = import_module("bare_serve.dev.browser").wrap
        state, options = self._development.state, self._browser
        if self._telling is not None and "django.conf" in sys.modules:
            static = import_module("bare_serve.server.static")
            if static.found_in_development(self._state.settings) is not None:
                self._telling.facts[_FILES_OF_DJANGO] = "served"
        return loaded._replace(app=wrap(loaded.app, loaded.interface, state, options))

    def announce(self, facts: Mapping[str, str]) -> None:
        """See `Server`; and show a code for telephones, where they can reach it."""
        self._serves_files_of_django = _FILES_OF_DJANGO in facts
        super().announce(facts)
        url = self._network_url()
        if url and console.is_unicode_terminal(sys.stderr):
            console.say(import_module("bare_serve.dev.qr").drawn(url))
        self._is_banner_of_stand_in = self._development.is_broken

    def _first_serves(self, facts: Mapping[str, str]) -> None:
        if self._is_banner_of_stand_in:
            what = facts["interface"], facts["detected"]
            logger.info("The application starts now. It is %s (%s).", *what)
        self._import_for_workers(facts["interface"] == INTERFACES["wsgi"])

    def _import_for_workers(self, is_wsgi: bool) -> None:
        """Import what each worker to come would import itself: more than half of its start."""
        traced = self._state.options.xray is not None
        import_module("bare_serve.dev.browser")
        if traced:
            import_module("bare_serve.workers.xray")
        if is_wsgi:
            import_module("bare_serve.workers.wsgi.worker")
            if traced:
                import_module("bare_serve.wsgi.traced")
            return
        import_module("bare_serve.workers.asgi.worker")
        if traced:
            import_module("bare_serve.asgi.traced_connection")
        if self._state.settings.loop != "asyncio":
            with contextlib.suppress(ImportError):
                import_module("uvloop")
        if self._state.settings.ws != "off":
            import_module("bare_serve.asgi.websocket_protocol")

    def _warn_of_what_is_idle(self, kind: str) -> None:
        if not self._development.is_broken:  # what stands in is of no kind
            super()._warn_of_what_is_idle(kind)

    def _network_url(self) -> str:
        if not self._state.settings.dev:
            return ""
        opening = import_module("bare_serve.server.opening")
        return str(opening.for_network(self._state.listeners))

    def _more_rows(self) -> Iterable[tuple[str, str]]:
        settings = self._state.settings
        rows = [("network", url)] if (url := self._network_url()) else []
        parts = ["reload on change" if settings.dev else "on change"]
        parts += ["error page"] if settings.error_page else []
        parts += ["live pages"] if settings.live else []
        parts += ["static files of Django"] if self._serves_files_of_django else []
        if settings.env_file is not None:
            parts.append(f"variables of {os.path.relpath(settings.env_file)}")
        if settings.timeout_worker == settings.timeout_boot == 0:
            parts.append("no timeout for a debugger")
        return [*rows, ("dev" if settings.dev else "reload", ", ".join(parts))]
