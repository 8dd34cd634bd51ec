"""How a process comes to serve: it loads the application, sees what it is, and serves it.

What lives here: a worker from its fork to its end, as it is seen from outside, with a master or
without one; and the application in the master, before the first fork (`--preload`). What must not:
what outlives a worker (server/server.py), how an application is called (workers/).
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from types import MappingProxyType
from typing import Any, NamedTuple

from bare_serve.app import LoadedApp
from bare_serve.config.settings import Settings
from bare_serve.errors import AppLoadError, BareServeError
from bare_serve.hooks.loading import WorkerFacts
from bare_serve.logs import error_log
from bare_serve.server.application import INTERFACES, surrounded
from bare_serve.server.state import State
from bare_serve.server.wsgi_life import WsgiLife
from bare_serve.system import forks
from bare_serve.system.privileges import Identity
from bare_serve.workers import signal_handlers
from bare_serve.workers.accept_balance import AcceptShare
from bare_serve.workers.lifecycle import Lifecycle
from bare_serve.workers.slot import Slot

logger = logging.getLogger("bare_serve.supervision")


class Place(NamedTuple):
    """What a process has that an application may change for itself: directory and umask."""

    directory: str
    umask: int

    @classmethod
    def of_this_process(cls) -> Place:
        """Return where this process is now; nowhere if the directory is gone."""
        umask = os.umask(0)
        os.umask(umask)
        try:
            return cls(os.getcwd(), umask)  # noqa: PTH109
        except OSError:
            return cls("", umask)

    def take(self) -> None:
        """Be there, as far as that can be had."""
        os.umask(self.umask)
        with suppress(OSError):
            os.chdir(self.directory)


class Preloaded(NamedTuple):
    """What an application has left in the master, for all workers to come."""

    loaded: LoadedApp | None = None
    """None if each worker loads it."""
    place: Place | None = None
    """Where it was loaded to, and where a worker puts itself."""
    handlers: Mapping[int, Any] = MappingProxyType({})
    """Those of signals that it has set."""


def preload(state: State, identity: Identity | None, others_serve: bool) -> Preloaded:
    """Load the application here and now, for all workers to come.

    If `others_serve`, a failure is left to those workers, since none of them is needed.
    """
    _become(identity, state.settings)
    found = Preloaded()
    place = Place.of_this_process()
    before = signal_handlers.present()
    threads = {*threading.enumerate()}
    try:
        loaded = state.application.load(state.settings)
        forks.end_copy()
        if left := [thread for thread in threading.enumerate() if thread not in threads]:
            _tell_of_threads(left)
        found = Preloaded(loaded, handlers=signal_handlers.new_since(before))
    except BareServeError as error:
        forks.end_copy()
        if not others_serve:
            raise
        details = f"{error.details}\n" if isinstance(error, AppLoadError) else ""
        logger.error("%sThe application could not be preloaded: %s", details, error)
    finally:
        # Relative paths of settings, and what logs may be read by, stay what they were.
        found = found._replace(place=Place.of_this_process())
        place.take()
    error_log.revive_logging()
    gc.collect()
    gc.freeze()  # the collector would write to what the workers share
    return found


def _tell_of_threads(left: list[threading.Thread]) -> None:
    """Warn of threads that the import has left in the master: no fork has them."""
    standing = sys._current_frames()
    told = []
    for thread in left:
        place, frame = "", standing.get(thread.ident or 0)
        while frame is not None:
            if frame.f_code.co_filename != threading.__file__:
                place = f" ({frame.f_code.co_name}, {frame.f_code.co_filename})"
            frame = frame.f_back
        told.append(f"{thread.name}{place}")
    logger.warning(
        "The import has left threads in the master, and workers, which are forked, have none of "
        "them: %s. Start them in the hook post_fork or worker_ready, or leave out --preload.",
        ", ".join(told),
    )


def _become(identity: Identity | None, settings: Settings) -> None:
    """Become the user that the application runs as, and capture its output if that is asked."""
    if identity is not None:
        identity.assume()
    if settings.capture_output:
        error_log.capture_output()


class Boot(NamedTuple):
    """What a worker starts from."""

    state: State
    identity: Identity | None
    preloaded: Preloaded
    wrap: Callable[[LoadedApp], LoadedApp] | None = None
    """What stands around the application, if anything does."""
    lifecycle: type[Lifecycle] = Lifecycle

    def serve(
        self,
        slot: Slot,
        begun: Callable[[Lifecycle], None],
        master: int | None = None,
        share: AcceptShare | None = None,
        number: int = 0,
    ) -> None:
        """Serve in this process until a signal asks it to stop.

        `begun` is handed the lifecycle once the application is there; `master` is the pid of the
        master, `number` the place of the worker.

        Raises:
            BareServeError: the boot failed.
        """
        state, preloaded = self.state, self.preloaded
        _become(self.identity, state.settings)
        target = state.application.target
        facts = WorkerFacts(os.getpid(), master or os.getpid(), number, target)
        if master is not None:
            state.hooks.call("post_fork", facts)
        if preloaded.place is not None:
            preloaded.place.take()
        before = signal_handlers.present()
        plain = self._load()
        loaded = surrounded(plain, state.settings)
        life = WsgiLife(plain)
        if self.wrap is not None:
            loaded = self.wrap(loaded)._replace(direct=None)  # what is around it sees all
        ready = partial(state.hooks.call, "worker_ready", facts)
        grace = state.settings.timeout_graceful_shutdown
        lifecycle = self.lifecycle(_DescribingSlot(slot, loaded, ready), master, grace)
        begun(lifecycle)
        lifecycle.theirs = preloaded.handlers or signal_handlers.new_since(before)
        lifecycle.share = share
        captured = state.settings.capture_output
        lifecycle.reopen = partial(error_log.reopen_error_log, captured=captured)
        run_worker = _kind(loaded)
        options = state.options._replace(number=number)
        if options.xray is not None:
            options = options._replace(xray=options.xray._replace(worker=number))
        try:
            run_worker(loaded, tuple(state.listeners.sockets), lifecycle, options)
        finally:
            forks.end_copy()
            life.end()
            lifecycle.restore()
            state.hooks.call("worker_exit", facts)
            if state.options.access_log is not None:
                state.options.access_log.close()

    def _load(self) -> LoadedApp:
        try:
            loaded = self.preloaded.loaded or self.state.application.load(self.state.settings)
        finally:
            forks.end_copy()
        error_log.revive_logging()
        return loaded


def _kind(loaded: LoadedApp) -> Callable[..., None]:
    """Return the function that serves this application; the master imports neither kind."""
    name = "wsgi" if loaded.interface == "wsgi" else "asgi"
    module = import_module(f"bare_serve.workers.{name}.worker")
    run_worker: Callable[..., None] = getattr(module, f"run_{name}_worker")
    return run_worker


class _DescribingSlot:
    """Adds what was loaded to what a worker says of itself."""

    def __init__(self, slot: Slot, loaded: LoadedApp, on_ready: Callable[[], None]) -> None:
        self._slot = slot
        self._on_ready = on_ready
        self._loaded = loaded
        self.failed = slot.failed
        self.beat = slot.beat
        self.report_activity = slot.report_activity
        self.master_is_gone = slot.master_is_gone
        self.publish = slot.publish
        self.introduce = slot.introduce
        self.offer_look = slot.offer_look
        self.is_watched = slot.is_watched
        self.report_in_flight = slot.report_in_flight
        self.offer_xray = slot.offer_xray
        self.obey_xray = slot.obey_xray
        self.xray_order = slot.xray_order
        slot.introduce("WSGI" if loaded.interface == "wsgi" else "ASGI")
        self.asked: Callable[[], int] = getattr(slot, "asked", int)

    def ready(self, facts: Mapping[str, str]) -> None:
        loaded = self._loaded
        description = {
            "target": loaded.target,
            "interface": INTERFACES[loaded.interface],
            "detected": loaded.how,
        }
        self._slot.ready({**facts, **description})
        self._on_ready()
