"""What all workers of a server share, and what each of them then does.

What lives here: a worker's life from outside (load the application, see what it is, serve it, tell
the master how the boot went), what the master does for its workers beside keeping their number, and
how a reload changes all that. What must not: which processes there are (supervision/), how an
application is called (workers/).
"""

from __future__ import annotations

import gc
import importlib.util
import logging
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from bare_serve.app import LoadedApp
from bare_serve.config.settings import Settings, without_effect
from bare_serve.config.variables import Variables
from bare_serve.errors import AppLoadError, BareServeError, UsageError
from bare_serve.hooks.loading import Hooks, MasterFacts, WorkerFacts, load_hooks
from bare_serve.http1 import select_parser
from bare_serve.logs import error_log
from bare_serve.net import sockets
from bare_serve.server import reload
from bare_serve.server.application import INTERFACES, Application, find_application, with_reason
from bare_serve.server.compose import policy, serve_options, set_up_logging
from bare_serve.server.listeners import Front, addresses, check_tls
from bare_serve.supervision import Policy
from bare_serve.system import forks
from bare_serve.system.privileges import Identity
from bare_serve.version import __version__
from bare_serve.workers import signal_handlers
from bare_serve.workers.accept_balance import Share, Shares
from bare_serve.workers.lifecycle import Lifecycle
from bare_serve.workers.options import ServeOptions
from bare_serve.workers.slot import Slot

if TYPE_CHECKING:
    from bare_serve.supervision.child import WorkerSlot

log = logging.getLogger("bare_serve.supervision")

_MOST_WORKERS = 256


class Serving:
    """One server: made once in the master, changed by reloads, and forked with each worker."""

    def __init__(
        self,
        chosen: Settings,
        application: Application,
        front: Front,
        identity: Identity | None,
        hooks: Hooks,
    ) -> None:
        self._hooks = hooks
        self._chosen = chosen
        self._application = application
        self._front = front
        self._identity = identity
        self._options = front.completed(serve_options(chosen))
        give_logs(identity, self._options)
        self._loaded: LoadedApp | None = None
        self._settled: Callable[[], None] = lambda: None
        """Puts a worker where the application was preloaded to."""
        self._shares = Shares(_MOST_WORKERS)
        self._master = os.getpid()
        self._theirs: Mapping[int, Any] = {}
        self.life: Lifecycle | None = None
        """That of a worker without a master, once it has begun."""
        forks.begin(signal_handlers.present())
        forks.holds(self._descriptors)

    def _descriptors(self) -> Iterable[int]:
        return (listener.fileno() for listener in self._front.listeners)

    def tell_hooks(self, name: str, changed: Iterable[str] = ()) -> None:
        """Call the master's hook of that name."""
        facts = MasterFacts(
            pid=os.getpid(),
            target=self._application.target,
            addresses=tuple(sockets.url_of(*each) for each in self._front.listeners.items()),
            workers=self._chosen.workers,
            changed=tuple(changed),
        )
        self._hooks.call(name, facts)

    def preload(self, others_serve: bool) -> None:
        """Load the application here and now, for all workers to come.

        If `others_serve`, a failure is left to those workers, since none of them is needed.
        """
        if self._identity is not None:
            self._identity.assume()
        if self._chosen.capture_output:
            error_log.capture_output()
        place = Place.of_this_process()
        before = signal_handlers.present()
        try:
            self._loaded = self._application.load(self._chosen)
            forks.end_copy()
            self._theirs = signal_handlers.new_since(before)
        except BareServeError as error:
            forks.end_copy()
            if not others_serve:
                raise
            details = f"{error.details}\n" if isinstance(error, AppLoadError) else ""
            log.error("%sThe application could not be preloaded: %s", details, error)
        finally:
            # Relative paths of settings, and what logs may be read by, stay what they were.
            self._settled = Place.of_this_process().take
            place.take()
        error_log.revive_logging()
        gc.collect()
        gc.freeze()  # the collector would write to what the workers share

    def reread(self, settings_again: Callable[[], Settings], variables: Variables) -> Policy:
        """Take over what is new in the settings, or nothing of it if there is an error.

        The workers to come are made by it.
        """
        chosen = reload.changed(self._chosen, settings_again())
        variables.put(chosen.variables)
        try:
            changes = self._take(chosen)
        except BaseException:
            variables.put(self._chosen.variables)
            raise
        if changes:
            said = ", ".join(f"{name} {change}" for name, change in changes.items())
            log.info("These settings are new: %s.", said)
        self.tell_hooks("on_reload", changes)
        return policy(chosen)

    def _take(self, chosen: Settings) -> dict[str, str]:
        """Whatever may fail comes first: workers are also made if it does."""
        application = self._application
        if application.app is None:
            application = find_application(chosen, None)
        check_installed(chosen)
        check_tls(chosen, addresses(chosen, os.environ))
        front = self._front.with_certificates(chosen)
        hooks = load_hooks(chosen.hooks, chosen.app_dir)
        changes = reload.differences(self._chosen, chosen)
        options = front.completed(serve_options(chosen)) if changes else self._options
        new, old = options.access_log, self._options.access_log
        try:
            set_up_logging(chosen)
        except BaseException:
            if new is not old and new is not None:
                new.close()
            raise
        if new is not old and old is not None:
            old.close()
        self._application, self._options = application, options
        self._chosen, self._front, self._hooks = chosen, front, hooks
        give_logs(self._identity, options)
        return changes

    def reopen(self) -> None:
        """Reopen the log files that workers inherit."""
        access_log = self._options.access_log
        self._reopen_error_log()
        if access_log is not None:
            access_log.reopen()
        give_logs(self._identity, self._options)
        log.info("Log files are reopened.")

    @property
    def chore(self) -> Callable[[], None] | None:
        """What the master has to do once a second."""
        return None if self._front.certificates is None else lambda: self._front.tick()

    def _reopen_error_log(self) -> None:
        chosen = self._chosen
        in_worker = os.getpid() != self._master or chosen.preload or chosen.workers == 0
        error_log.reopen_error_log(captured=chosen.capture_output and in_worker)

    def serve_in_child(self, slot: WorkerSlot, number: int) -> None:
        """The life of one forked worker; a failed boot is told to the master."""
        forks.holds(self._descriptors)

        def begun(life: Lifecycle) -> None:
            slot.life = life

        try:
            self._serve(slot, self._master, begun, self._shares.share(number), number)
        except AppLoadError as error:
            slot.failed(str(error), error.details)
        except BareServeError as error:
            slot.failed(str(error))

    def serve_here(self, when_ready: Callable[[], None]) -> int:
        """Serve in this process, for a debugger."""

        def announce(facts: Mapping[str, str]) -> None:
            when_ready()
            self.announce(facts)

        def begun(life: Lifecycle) -> None:
            self.life = life

        self._serve(_OwnSlot(announce), None, begun)
        return 0

    def announce(self, facts: Mapping[str, str]) -> None:
        """Show the banner, with what the first worker found out."""
        chosen = self._chosen
        inside = "0, served in this process" if chosen.workers == 0 else str(chosen.workers)
        rows = [
            ("app", with_reason(facts["target"], self._application.how)),
            ("interface", with_reason(facts["interface"], facts["detected"])),
            *self._front.rows(),
            ("workers", inside),
            *((name, facts[name]) for name in ("parser", "loop", "lifespan") if name in facts),
            ("pid", str(os.getpid())),
        ]
        hint = "Press Ctrl-C to stop." if sys.stdin is not None and sys.stdin.isatty() else ""
        error_log.banner(f"bare-serve {__version__}", rows, hint)
        self._warn_of_what_is_idle("wsgi" if facts["interface"] == INTERFACES["wsgi"] else "asgi")

    def _warn_of_what_is_idle(self, kind: str) -> None:
        """No error: services of both kinds may share a file of settings, or an environment."""
        if idle := without_effect(self._chosen, kind):
            log.warning(
                "The application is %s, to which these settings mean nothing: %s.",
                *(kind.upper(), ", ".join(idle)),
            )

    def _serve(
        self,
        slot: Slot,
        master: int | None,
        begun: Callable[[Lifecycle], None],
        share: Share | None = None,
        number: int = 0,
    ) -> None:
        if self._identity is not None:
            self._identity.assume()
        if self._chosen.capture_output:
            error_log.capture_output()
        target = self._application.target
        facts = WorkerFacts(pid=os.getpid(), master_pid=self._master, number=number, target=target)
        if master is not None:
            self._hooks.call("post_fork", facts)
        self._settled()
        before = signal_handlers.present()
        try:
            loaded = self._loaded or self._application.load(self._chosen)
        finally:
            forks.end_copy()
        error_log.revive_logging()
        grace = self._chosen.timeout_graceful_shutdown
        ready = partial(self._hooks.call, "worker_ready", facts)
        lifecycle = Lifecycle(_IntroducingSlot(slot, loaded, ready), master, grace)
        begun(lifecycle)
        lifecycle.theirs = self._theirs or signal_handlers.new_since(before)
        lifecycle.share = share
        lifecycle.reopen = self._reopen_error_log
        run_worker = _kind(loaded)
        try:
            run_worker(loaded, tuple(self._front.listeners), lifecycle, self._options)
        finally:
            forks.end_copy()
            lifecycle.restore()
            self._hooks.call("worker_exit", facts)
            if self._options.access_log is not None:
                self._options.access_log.close()


def give_logs(identity: Identity | None, options: ServeOptions) -> None:
    """Let the user that workers become open the log files again."""
    if identity is None:
        return
    error_log.give_error_log_to(identity.uid, identity.gid)
    if options.access_log is not None:
        options.access_log.give_to(identity.uid, identity.gid)


def _kind(loaded: LoadedApp) -> Callable[..., None]:
    """What serves this application; imported late, since the master needs neither kind."""
    name = "wsgi" if loaded.interface == "wsgi" else "asgi"
    module = import_module(f"bare_serve.workers.{name}.worker")
    run_worker: Callable[..., None] = getattr(module, f"run_{name}_worker")
    return run_worker


class Place(NamedTuple):
    """What a process has that an application may change for itself: directory and umask."""

    directory: str
    umask: int

    @classmethod
    def of_this_process(cls) -> Place:
        """Where it is now; nowhere if the directory is gone."""
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


class _IntroducingSlot:
    """Adds what was loaded to what a worker says of itself."""

    def __init__(self, slot: Slot, loaded: LoadedApp, on_ready: Callable[[], None]) -> None:
        self._slot = slot
        self._on_ready = on_ready
        self._loaded = loaded
        self.failed = slot.failed
        self.beat = slot.beat
        self.doing = slot.doing
        self.alone = slot.alone
        self.asked: Callable[[], int] = getattr(slot, "asked", int)

    def ready(self, facts: Mapping[str, str]) -> None:
        loaded = self._loaded
        introduction = {
            "target": loaded.target,
            "interface": INTERFACES[loaded.interface],
            "detected": loaded.how,
        }
        self._slot.ready({**facts, **introduction})
        self._on_ready()


class _OwnSlot:
    """The slot of a worker without a master: it speaks for itself."""

    def __init__(self, on_ready: Callable[[Mapping[str, str]], None]) -> None:
        self.ready = on_ready

    def failed(self, message: str, details: str = "") -> None:
        """Raise what a master would have shown."""
        raise AppLoadError(message, details)

    def beat(self, connections: int, requests: int) -> None:
        """Nobody is watching."""

    def doing(self, what: str) -> None:
        """Nobody is watching."""

    def alone(self) -> bool:
        """A worker without a master does not wait for one."""
        return False


def check_installed(chosen: Settings) -> None:
    """Refuse what cannot work in any worker before there is one."""
    select_parser(chosen.parser)
    if chosen.loop == "uvloop" and importlib.util.find_spec("uvloop") is None:
        raise UsageError(
            "--loop uvloop: uvloop is not installed; run `pip install uvloop`, "
            "or use --loop asyncio"
        )
