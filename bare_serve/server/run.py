"""From settings to a running server: finds, binds, composes, and hands over.

`run` finds the application without importing it, binds the addresses, gives each floor its slice
of the settings and starts the supervisor; with `--workers 0` the same worker runs in this very
process. `check` only loads. Both pass `_prepare` first, so what a start refuses, `check` and the
trial before a replacement refuse too. What the processes then do is in server/server.py.

Decides nothing about connections, processes or signals. Errors are raised, never printed.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from bare_serve.config import sources
from bare_serve.config.settings import Settings
from bare_serve.config.variables import Variables
from bare_serve.errors import AppLoadError, BareServeError, UsageError
from bare_serve.hooks.loading import Hooks, load_hooks
from bare_serve.logs import console, zone
from bare_serve.server.application import (
    INTERFACES,
    Application,
    application_given,
    find_application,
    is_loading,
    surrounded,
    with_reason,
)
from bare_serve.server.compose import (
    check_development,
    check_installed,
    check_middleware,
    check_operations,
    check_static,
    middleware_row,
    policy,
    serve_options,
    static_row,
    worker_options,
)
from bare_serve.server.listeners import (
    Listeners,
    addresses,
    check_tls,
    listening,
    read_certificates,
    tls_row,
)
from bare_serve.server.logs import check_logs, give_logs, set_up_logging
from bare_serve.server.server import Server, ops_listening, ops_rules
from bare_serve.server.state import State
from bare_serve.supervision import (
    Callbacks,
    Handover,
    Notifier,
    Orderly,
    Policy,
    SignalQueue,
    Trial,
    own_pid_file,
)
from bare_serve.system import forks, privileges
from bare_serve.system.privileges import Identity
from bare_serve.workers import shutdown
from bare_serve.workers.last_words import error_log_descriptor

if TYPE_CHECKING:
    from socket import socket

    from bare_serve.tls.certificates import Certificates


logger = logging.getLogger("bare_serve.supervision")
_LAST_RESORT = 3.0
"""Seconds beyond the grace after which C code ends a process that does not end by itself."""


class _Visit(NamedTuple):
    """That an application has been in this process, which is not forgotten at its end."""

    grace: float
    """Seconds for what it has left running; 0 if it has only been looked at."""
    children: tuple[int, ...]
    """Processes that were there before it."""
    serving: Server | None = None


_visit: _Visit | None = None


class _Prepared(NamedTuple):
    """What a server is made of, before it is anywhere."""

    variables: Variables
    application: Application
    where: tuple[str, ...]
    hooks: Hooks
    identity: Identity | None
    certificates: Certificates | None


def _prepare(
    settings: Settings, app: Callable[..., Any] | None, logs: Callable[[Settings], None]
) -> _Prepared:
    """Do all that can be refused before anything is bound; leave nothing to undo.

    `logs` sets them up, or only looks at them. BareServeError if a server cannot be had.
    """
    variables = Variables(os.environ)
    variables.put(settings.variables)
    zone.fix()
    logs(settings)
    application = find_application(settings, app)
    check_installed(settings)
    check_development(settings)
    check_operations(settings)
    check_middleware(settings)
    check_static(settings)
    worker_options(settings)
    where = addresses(settings, os.environ)
    check_tls(settings, where)
    hooks = load_hooks(settings.hooks, settings.app_dir)
    identity = privileges.find(settings.user, settings.group)
    ops_rules(settings, identity)
    certificates = read_certificates(settings)
    if settings.umask is not None:
        os.umask(settings.umask)
    return _Prepared(variables, application, where, hooks, identity, certificates)


def run(
    settings: Settings,
    app: Callable[..., Any] | None = None,
    reread: Callable[[], Settings] | None = None,
    process_ends: bool = False,
    remarks: Iterable[str] = (),
) -> int:
    """Serve until a signal asks to stop, return the exit code; BareServeError if that fails.

    `reread` reads all the sources of the settings again, for a reload. If the `process_ends` next,
    no signal disturbs that end. `remarks` on the settings are logged at the start.
    """
    console.claim_standard_descriptors()
    trial = Trial.asked(os.environ)
    handover = Handover.receive(os.environ)
    if trial is None and settings.workers:
        Notifier(os.environ).have_patience(settings.timeout_boot)  # until the supervisor runs
    prepared = _prepare(settings, app, set_up_logging)
    variables, _, where, hooks, identity, certificates = prepared
    if trial is not None:
        _stand_trial(trial, settings, prepared)
        return 0
    with (
        Orderly(queue=settings.workers > 0, process_ends=process_ends) as orderly,
        own_pid_file(settings.pid, handover),
        listening(settings, where, handover, identity) as bound,
        ops_listening(settings, handover, identity) as ops_listener,
    ):
        listeners = Listeners(bound, certificates)
        options = listeners.complete(serve_options(settings))
        state = State(settings, prepared.application, listeners, hooks, options)
        server = _server(state, identity, ops_listener, handover)
        server.has_titles = process_ends  # else the process is a program's own
        for text in () if handover.received else remarks:
            logger.warning("%s", text)
        server.tell_hooks("on_reload" if handover.received else "on_starting")
        try:
            if settings.workers == 0:
                _expect(settings.timeout_graceful_shutdown, server)
                orderly.has_started()
                return server.serve_here(orderly.ends)
            if settings.preload:
                _expect(settings.timeout_graceful_shutdown)
                if identity is not None:
                    identity.dress(handover.environ)  # the next program has the same user
                handover.keep_output()
                server.preload(handover.received)
            again = None if reread is None else partial(server.reload_settings, reread, variables)
            orderly.has_started()
            return _supervise(server, policy(settings), again, handover, orderly.queue())
        finally:
            server.tell_hooks("on_exit")
            forks.begin()


def _stand_trial(trial: Trial, settings: Settings, prepared: _Prepared) -> None:
    """Find out, in a process of its own, whether a new server would start.

    Raises:
        BareServeError: it would not, and why.
    """
    identity = prepared.identity
    # Late: only a trial needs it.
    succession = import_module("bare_serve.server.trial")
    succession.check_succession(trial, settings, prepared.where, identity)
    try:
        _try_to_load(settings, prepared.application, identity)
    except BareServeError as error:
        if settings.reload and trial.dev >= 0:
            import_module("bare_serve.server.development").tell_trial(trial.dev, error)
        raise


def _server(
    state: State, identity: Identity | None, ops_listener: socket | None, handover: Handover
) -> Server:
    """Return what the processes do, of the class that the settings ask for."""
    if not state.settings.reload:
        handover.forget_dev()  # of a master before that had one
        return Server(state, identity, ops_listener)
    development = import_module("bare_serve.server.development")
    made: Server = development.server(state, identity, ops_listener, handover)
    return made


def _expect(grace: float, serving: Server | None = None) -> None:
    """Note that an application is about to be loaded into this process."""
    global _visit
    _visit = _Visit(grace, shutdown.children_now(), serving)


def _forget() -> None:
    """Forget the application: the process goes on, and its end is no concern of the server."""
    global _visit
    _visit = None


_TO_STOP = (signal.SIGTERM, signal.SIGINT)


def leave(code: int) -> None:
    """End this process as far as an application that was in it could keep it from ending.

    For the command alone: a program that calls `run` goes on. Returns if nothing is in the way.
    Signals that ask for the end, ignored since `Orderly` has ended, make haste meanwhile.
    """
    if _visit is None:
        if shutdown.is_held_up():  # by a hook's thread, which has no deadline
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        return
    hurried = False

    def hurry(*_: object) -> None:
        nonlocal hurried
        hurried = True

    for signum in (*_TO_STOP, signal.SIGQUIT):
        signal.signal(signum, hurry)
    grace, children, serving = _visit
    life = None if serving is None else serving.life
    until = (
        time.monotonic() + (grace if serving is None else 0.0) if life is None else life.leave_by
    )
    silent = not grace or (serving is not None and life is None)
    hurried = hurried or (life is not None and life.hurry)
    end = shutdown.End(until, lambda: hurried, spared=children, silent=silent)
    # Not even code in C that never gives the interpreter away keeps this process.
    last = max(until - time.monotonic(), 0.0) + _LAST_RESORT
    faulthandler.dump_traceback_later(last, exit=True, file=error_log_descriptor())
    whole = end.run(code)
    faulthandler.cancel_dump_traceback_later()
    if not whole:
        os._exit(code)
    # The interpreter, as it ends, puts the default action in the place of handlers in Python.
    for signum in _TO_STOP:
        signal.signal(signum, signal.SIG_IGN)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


def _try_to_load(settings: Settings, application: Application, identity: Identity | None) -> None:
    """Find out whether a server in the place of the running one could load it; raise if not."""
    _expect(0.0)
    give_logs(identity, serve_options(settings).access_log)
    if identity is not None:
        identity.assume()
    surrounded(application.load(settings), settings)


def _supervise(
    server: Server,
    policy: Policy,
    again: Callable[[], Policy] | None,
    handover: Handover,
    signals: SignalQueue,
) -> int:
    callbacks = Callbacks(
        server.serve_in_child, server.announce, again, server.reopen, server.describe,
        server.worker_has_ended, server.show_title,
    )  # fmt: skip
    return server.supervisor(policy, callbacks, handover, signals, server.works()).run()


def run_from_python(target: str | Callable[..., Any] | None, options: Mapping[str, Any]) -> int:
    """Run with keyword arguments in the place of the command line."""
    if _in_running_loop():
        raise UsageError(
            "run() was called in a running event loop, which it would block; "
            "use `await bare_serve.Server(...).serve()` there"
        )
    asked, app = application_given(target, options, "run")
    if is_loading():
        raise UsageError(
            "run() was called again while the application was imported; "
            'put the call under: if __name__ == "__main__"'
        )

    environ = {**os.environ}  # without what --env-file adds: it is to be read anew

    def read() -> Settings:
        return sources.load(asked, environ, sources.current_directory(), from_python=True)

    try:
        settings = read()
        if app is not None and settings.reload:
            raise UsageError(
                "run(reload=True) imports the application anew after a change, and was given an "
                'object; give the name of the object, as in run("module:app", reload=True)'
            )
        return run(settings, app, read)
    except AppLoadError as error:
        error.tell_details()
        raise
    finally:
        _forget()


def _in_running_loop() -> bool:
    asyncio = sys.modules.get("asyncio")  # without it there is no loop
    return asyncio is not None and asyncio._get_running_loop() is not None


def check(settings: Settings) -> list[tuple[str, str]]:
    """Load the application and return what it is, as rows of (name, fact).

    Binds nothing, and leaves no file behind. BareServeError if a start would be refused; an import
    that takes longer than --timeout-boot ends the process.
    """
    console.claim_standard_descriptors()
    with import_module("bare_serve.server.load_deadline").at_most(settings.timeout_boot):
        prepared = _prepare(settings, None, check_logs)
        application = prepared.application
        if prepared.identity is not None:
            prepared.identity.assume()
        _expect(0.0)
        loaded = surrounded(application.load(settings), settings)
    return [
        ("app", with_reason(loaded.target, application.how)),
        ("interface", with_reason(INTERFACES[loaded.interface], loaded.how)),
        *middleware_row(settings),
        *static_row(settings),
        ("app-dir", str(application.directory or settings.app_dir)),
        *tls_row(prepared.certificates),
    ]
