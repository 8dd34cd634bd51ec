"""From settings to a running server: finds, binds, composes, and hands over.

`run` finds the target without importing it, binds the addresses, gives each floor its slice
of the settings and starts the supervisor; with `--workers 0` the same worker runs in this
very process. `_Worker` is what each process then does: load the application, see what it is,
serve it, and tell its master how the boot went. `check` only loads.

Decides nothing about connections, processes or signals. Errors are raised, never printed.
"""

from __future__ import annotations

import gc
import importlib.util
import logging
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

from bare_serve import __version__, output, privileges, process, sockets, sources
from bare_serve.app_target import LoadedApp, check_target, find_target, load, load_object
from bare_serve.composing import serve_options, set_up_logging
from bare_serve.errors import AppLoadError, BareServeError, UsageError
from bare_serve.front import Front, read_certificates, tls_row
from bare_serve.hooks import Hooks, MasterFacts, WorkerFacts, load_hooks
from bare_serve.http1 import select_parser
from bare_serve.privileges import Identity
from bare_serve.settings import Settings
from bare_serve.supervision import Handover, Policy, Supervisor, Trial, before_the_queue
from bare_serve.workers.balance import Share, Shares
from bare_serve.workers.lifecycle import Lifecycle, ServeOptions, Slot

log = logging.getLogger("bare_serve.supervision")

# Set while the application is imported, to notice a script that serves itself.
_loading: ContextVar[bool] = ContextVar("_loading", default=False)


_MOST_WORKERS = 256


class _Source(NamedTuple):
    """Where the application comes from: a target's text, or the object itself."""

    target: str
    how: str
    app: Callable[..., Any] | None = None

    def load(self, chosen: Settings) -> LoadedApp:
        """Import it and see what it is; AppLoadError if there is no serving it."""
        factory, interface = chosen.factory, chosen.interface
        token = _loading.set(True)
        try:
            if self.app is not None:
                return load_object(
                    self.app, factory=factory, interface=interface, target=self.target
                )
            return load(self.target, app_dir=chosen.app_dir, factory=factory, interface=interface)
        finally:
            _loading.reset(token)


def run(
    chosen: Settings,
    app: Callable[..., Any] | None = None,
    reread: Callable[[], Settings] | None = None,
) -> int:
    """Serve until told to stop and return the exit code; BareServeError if it cannot be done.

    `reread` reads all the sources of the settings again, for a reload.
    """
    output.claim_standard_descriptors()
    trial = Trial.asked(os.environ)
    handover = Handover.receive(os.environ)
    variables = process.Variables(os.environ)
    variables.put(chosen.variables)
    set_up_logging(chosen)
    source = _find(chosen, app)
    _check_installed(chosen)
    where = process.addresses(chosen, os.environ)
    process.check_tls(chosen, where)
    hooks = load_hooks(chosen.hooks, chosen.app_dir)
    identity = privileges.find(chosen.user, chosen.group)
    certificates = read_certificates(chosen)
    if chosen.umask is not None:
        os.umask(chosen.umask)
    if trial is not None:
        process.check_succession(trial, chosen, where, identity)
        _give_logs(identity, serve_options(chosen))
        if identity is not None:
            identity.assume()
        source.load(chosen)
        return 0
    with (
        process.own_pid_file(chosen.pid, handover),
        process.listening(chosen, where, handover, identity) as listeners,
    ):
        worker = _Worker(chosen, source, Front(listeners, certificates), identity, hooks)
        worker.tell_hooks("on_reload" if handover.received else "on_starting")
        try:
            if chosen.workers == 0:
                return worker.serve_here()
            if chosen.preload:
                if identity is not None:
                    handover.environ |= identity.variables  # the next program is nobody else
                handover.keep_output()
                with before_the_queue():
                    worker.preload(handover.received)
            again = None if reread is None else partial(worker.reread, reread, variables)
            policy = process.policy(chosen)
            run_worker, say = worker.serve_in_child, worker.announce
            supervisor = Supervisor(policy, run_worker, say, again, handover, worker.reopen)
            supervisor.chore = worker.chore
            return supervisor.run()
        finally:
            worker.tell_hooks("on_exit")


def run_from_python(target: str | Callable[..., Any] | None, options: Mapping[str, Any]) -> int:
    """Run with keyword arguments in the place of the command line."""
    asked = dict(options)
    if target is not None and (asked.get("demo") or asked.get("app")):
        raise UsageError("run() was given two applications; give only one")
    if not (target is None or isinstance(target, str) or callable(target)):
        raise UsageError(f"run() serves a target's text or an application, not {target!r}")
    if _loading.get():
        raise UsageError(
            "run() was called again while the application was imported; "
            'put the call under: if __name__ == "__main__"'
        )
    if isinstance(target, str):
        asked["app"] = target
    app = None if isinstance(target, str) else target

    environ = {**os.environ}  # without what --env-file adds: it is to be read anew

    def read() -> Settings:
        return sources.load(asked, environ, sources.current_directory(), from_python=True)

    try:
        return run(read(), app, read)
    except AppLoadError as error:
        if error.details:
            error.add_note(f"\n{error.details}")  # the command line shows it by itself
        raise


def check(chosen: Settings) -> list[tuple[str, str]]:
    """Load the application and return what it is, as rows of (name, fact)."""
    output.claim_standard_descriptors()
    source = _find(chosen, None)
    process.check_tls(chosen, process.addresses(chosen, os.environ))
    certificates = read_certificates(chosen)
    if chosen.umask is not None:
        os.umask(chosen.umask)
    if os.geteuid() == 0 and (identity := privileges.find(chosen.user, chosen.group)) is not None:
        identity.assume()
    loaded = source.load(chosen)
    return [
        ("app", _with_reason(loaded.target, source.how)),
        ("interface", _with_reason(_INTERFACES[loaded.interface], loaded.how)),
        ("app-dir", str(chosen.app_dir)),
        *tls_row(certificates),
    ]


_INTERFACES = {"asgi": "ASGI 3", "asgi2": "ASGI 2", "wsgi": "WSGI"}


def _with_reason(fact: str, reason: str) -> str:
    return f"{fact} ({reason})" if reason else fact


def _find(chosen: Settings, app: Callable[..., Any] | None) -> _Source:
    """Find what to serve, importing nothing: the master stays free of the application."""
    if app is not None:
        name = getattr(app, "__qualname__", type(app).__qualname__)
        return _Source(f"{getattr(app, '__module__', '?')}:{name}", "given to run()", app)
    if chosen.demo:
        kind = "wsgi" if chosen.interface == "wsgi" else "asgi"
        return _Source(f"bare_serve.demo:{kind}", "the built-in demo")
    if chosen.app is None:
        found = find_target(chosen.app_dir, chosen.interface)
        source = _Source(found.target, found.how)
    else:
        place = chosen.sources.get("app", "")
        typed = place in ("command line", "run()")
        source = _Source(chosen.app, "" if typed else f"from the {place}")
    check_target(source.target, chosen.app_dir)
    return source


def _check_installed(chosen: Settings) -> None:
    """Refuse what cannot work in any worker before there is one."""
    select_parser(chosen.parser)
    if chosen.loop == "uvloop" and importlib.util.find_spec("uvloop") is None:
        raise UsageError(
            "--loop uvloop: uvloop is not installed; run `pip install uvloop`, "
            "or use --loop asyncio"
        )


class _Worker:
    """What a worker process does, ready to be started any number of times."""

    def __init__(
        self,
        chosen: Settings,
        source: _Source,
        front: Front,
        identity: Identity | None,
        hooks: Hooks,
    ) -> None:
        self._hooks = hooks
        self._chosen = chosen
        self._source = source
        self._front = front
        self._identity = identity
        self._options = front.completed(serve_options(chosen))
        _give_logs(identity, self._options)
        self._loaded: LoadedApp | None = None
        self._shares = Shares(_MOST_WORKERS)
        self._master = os.getpid()

    def tell_hooks(self, name: str, changed: Iterable[str] = ()) -> None:
        """Call the master's hook of that name."""
        facts = MasterFacts(
            pid=os.getpid(),
            target=self._source.target,
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
            output.capture_output()
        try:
            self._loaded = self._source.load(self._chosen)
        except AppLoadError as error:
            if not others_serve:
                raise
            log.error("%s\nThe application could not be preloaded: %s", error.details, error)
        output.revive_logging()
        gc.collect()
        gc.freeze()  # the collector would write to what the workers share

    def reread(
        self, settings_again: Callable[[], Settings], variables: process.Variables
    ) -> Policy:
        """Take over what is new in the settings, or nothing of it if there is an error.

        The workers to come are made by it.
        """
        chosen = process.changed(self._chosen, settings_again())
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
        return process.policy(chosen)

    def _take(self, chosen: Settings) -> dict[str, str]:
        """Whatever may fail comes first: workers are also made if it does."""
        source = _find(chosen, None) if self._source.app is None else self._source
        _check_installed(chosen)
        process.check_tls(chosen, process.addresses(chosen, os.environ))
        front = self._front.with_certificates(chosen)
        hooks = load_hooks(chosen.hooks, chosen.app_dir)
        changes = process.differences(self._chosen, chosen)
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
        self._source, self._options = source, options
        self._chosen, self._front, self._hooks = chosen, front, hooks
        _give_logs(self._identity, options)
        return changes

    def reopen(self) -> None:
        """Reopen the log files that workers inherit."""
        access_log = self._options.access_log
        self._reopen_error_log()
        if access_log is not None:
            access_log.reopen()
        _give_logs(self._identity, self._options)
        log.info("Log files are reopened.")

    @property
    def chore(self) -> Callable[[], None] | None:
        """What the master has to do once a second."""
        return None if self._front.certificates is None else lambda: self._front.tick()

    def _reopen_error_log(self) -> None:
        chosen = self._chosen
        in_worker = os.getpid() != self._master or chosen.preload or chosen.workers == 0
        output.reopen_error_log(captured=chosen.capture_output and in_worker)

    def serve_in_child(self, slot: Slot, number: int) -> None:
        """The life of one forked worker; a failed boot is told to the master."""
        try:
            self._serve(slot, self._master, self._shares.share(number), number)
        except AppLoadError as error:
            slot.failed(str(error), error.details)
        except BareServeError as error:
            slot.failed(str(error))

    def serve_here(self) -> int:
        """Serve in this process, for a debugger."""
        self._serve(_OwnSlot(self.announce), None)
        return 0

    def announce(self, facts: Mapping[str, str]) -> None:
        """Show the banner, with what the first worker found out."""
        chosen = self._chosen
        inside = "0, served in this process" if chosen.workers == 0 else str(chosen.workers)
        rows = [
            ("app", _with_reason(facts["target"], self._source.how)),
            ("interface", _with_reason(facts["interface"], facts["detected"])),
            *self._front.rows(),
            ("workers", inside),
            *((name, facts[name]) for name in ("parser", "loop", "lifespan") if name in facts),
            ("pid", str(os.getpid())),
        ]
        hint = "Press Ctrl-C to stop." if sys.stdin is not None and sys.stdin.isatty() else ""
        output.banner(f"bare-serve {__version__}", rows, hint)

    def _serve(
        self, slot: Slot, master: int | None, share: Share | None = None, number: int = 0
    ) -> None:
        if self._identity is not None:
            self._identity.assume()
        if self._chosen.capture_output:
            output.capture_output()
        target = self._source.target
        facts = WorkerFacts(pid=os.getpid(), master_pid=self._master, number=number, target=target)
        if master is not None:
            self._hooks.call("post_fork", facts)
        loaded = self._loaded or self._source.load(self._chosen)
        if loaded.interface == "wsgi" and self._chosen.lifespan == "on":
            raise UsageError("--lifespan on: the application is WSGI, which has no lifespan")
        output.revive_logging()
        grace = self._chosen.timeout_graceful_shutdown
        ready = partial(self._hooks.call, "worker_ready", facts)
        lifecycle = Lifecycle(_IntroducingSlot(slot, loaded, ready), master, grace)
        lifecycle.share = share
        lifecycle.reopen = self._reopen_error_log
        run_worker = _kind(loaded)
        try:
            run_worker(loaded, tuple(self._front.listeners), lifecycle, self._options)
        finally:
            lifecycle.restore()
            self._hooks.call("worker_exit", facts)
            if self._options.access_log is not None:
                self._options.access_log.close()


def _give_logs(identity: Identity | None, options: ServeOptions) -> None:
    """Let the user that workers become open the log files again."""
    if identity is None:
        return
    output.give_error_log_to(identity.uid, identity.gid)
    if options.access_log is not None:
        options.access_log.give_to(identity.uid, identity.gid)


def _kind(loaded: LoadedApp) -> Callable[..., None]:
    """What serves this application; imported late, since the master needs neither kind."""
    name = "wsgi" if loaded.interface == "wsgi" else "asgi"
    module = import_module(f"bare_serve.workers.{name}_worker")
    run_worker: Callable[..., None] = getattr(module, f"run_{name}_worker")
    return run_worker


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

    def ready(self, facts: Mapping[str, str]) -> None:
        loaded = self._loaded
        introduction = {
            "target": loaded.target,
            "interface": _INTERFACES[loaded.interface],
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
