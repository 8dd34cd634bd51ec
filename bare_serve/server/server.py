"""One server: what its master does for the workers beside keeping their number.

What lives here: the state that workers are forked with, its reload, the hooks of the master, the
banner, log files to be reopened. What must not: which processes there are (supervision/), what
becomes of a worker (server/boot.py), what is new after a reload (server/reload.py).
"""

from __future__ import annotations

import logging
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from socket import socket
from types import ModuleType
from typing import TYPE_CHECKING, Any

from bare_serve.config.settings import OPTIONS, Settings
from bare_serve.config.shown import shown, without_effect
from bare_serve.config.variables import Variables
from bare_serve.errors import AppLoadError, BareServeError, UsageError
from bare_serve.hooks.loading import ExitFacts, MasterFacts
from bare_serve.logs import console, error_log
from bare_serve.net import sockets
from bare_serve.net.bind_address import parse_address, url_of
from bare_serve.server import boot, reload
from bare_serve.server.application import INTERFACES, with_reason
from bare_serve.server.compose import middleware_row, policy, static_row
from bare_serve.server.listeners import CertificateWatch
from bare_serve.server.logs import give_logs
from bare_serve.server.state import State
from bare_serve.supervision import (
    Callbacks,
    Ended,
    Handover,
    Policy,
    SignalQueue,
    Supervisor,
    Work,
)
from bare_serve.supervision.own_slot import OwnSlot
from bare_serve.system import forks, titles
from bare_serve.system.privileges import Identity
from bare_serve.version import __version__
from bare_serve.workers import signal_handlers
from bare_serve.workers.accept_balance import AcceptShares
from bare_serve.workers.lifecycle import Lifecycle
from bare_serve.workers.slot import Slot

if TYPE_CHECKING:
    from bare_serve.ops.rules import Rules
    from bare_serve.supervision.ops_process import OpsProcess
    from bare_serve.supervision.worker_process import WorkerSlot

logger = logging.getLogger("bare_serve.supervision")

_MOST_WORKERS = 256


def _ops() -> ModuleType:
    return import_module("bare_serve.server.ops")  # few have one: 1 ms of each start


def ops_rules(settings: Settings, identity: Identity | None) -> Rules | None:
    """Return whom the ops process answers; None if there is none.

    Raises:
        UsageError: such settings are refused.
    """
    if settings.ops is None:
        return None
    rules: Rules = _ops().rules_of(settings, identity)
    return rules


def ops_listening(
    settings: Settings, handover: Handover, identity: Identity | None
) -> AbstractContextManager[socket | None]:
    """Listen for the ops process, if there is one, and let go at the end."""
    if settings.ops is None:
        for address, fd in handover.ops.items():  # of the master before
            sockets.release(parse_address(address), socket(fileno=fd))
        handover.ops = {}
        return nullcontext()
    listening: AbstractContextManager[socket | None] = _ops().listening(
        settings, handover, identity
    )
    return listening


class Server:
    """Made once in the master, changed by reloads, and forked with each worker."""

    def __init__(
        self, state: State, identity: Identity | None, ops_listener: socket | None = None
    ) -> None:
        self._state = state
        self._identity = identity
        self._ops_listener = ops_listener
        self._ops: OpsProcess | None = None
        give_logs(identity, state.options.access_log)
        self._preloaded = boot.Preloaded()
        self._shares = AcceptShares(_MOST_WORKERS)
        self._master = os.getpid()
        self.life: Lifecycle | None = None
        """That of a worker without a master, once it has begun."""
        self.has_titles = False
        """Whether ps and top see what the processes are, in the place of the command line."""
        forks.begin(signal_handlers.present())
        forks.holds(self._descriptors)

    def _descriptors(self) -> Iterable[int]:
        ops = () if self._ops_listener is None else (self._ops_listener,)
        return (listener.fileno() for listener in (*self._state.listeners.sockets, *ops))

    def tell_hooks(self, name: str, changed: Iterable[str] = ()) -> None:
        """Call the master's hook of that name."""
        state = self._state
        facts = MasterFacts(
            pid=os.getpid(),
            target=state.application.target,
            addresses=tuple(url_of(*each) for each in state.listeners.sockets.items()),
            workers=state.settings.workers,
            changed=tuple(changed),
        )
        state.hooks.call(name, facts)

    def worker_has_ended(self, ended: Ended) -> None:
        """Call the master's hook for a worker that has ended."""
        self._state.hooks.call("child_exit", ExitFacts(os.getpid(), *ended))

    def show_title(self, workers: int) -> None:
        """Have ps and top see in this process the master of so many workers."""
        if self.has_titles:
            count = "1 worker" if workers == 1 else f"{workers} workers"
            target = self._state.application.target
            titles.set_title(f"bare-serve: master {target}, {count}", "bare-serve")

    def preload(self, others_serve: bool) -> None:
        """Load the application here and now; see `boot.preload`."""
        self._preloaded = boot.preload(self._state, self._identity, others_serve)

    def reload_settings(
        self, settings_again: Callable[[], Settings], variables: Variables
    ) -> Policy:
        """Take over what is new in the settings, or nothing of it if there is an error.

        The workers to come are made by it.
        """
        before = self._state.settings
        settings = reload.changed(before, settings_again())
        variables.put(settings.variables)
        try:
            rules = ops_rules(settings, self._identity)
            self._state, changes = reload.renewed(self._state, settings)
        except BaseException:
            variables.put(before.variables)
            raise
        give_logs(self._identity, self._state.options.access_log)
        if self._ops is not None and rules is not None:
            self._ops.renew(rules)
        if changes:
            said = ", ".join(f"{name} {change}" for name, change in changes.items())
            logger.info("These settings are new: %s.", said)
        self.tell_hooks("on_reload", changes)
        return policy(settings)

    def reopen(self) -> None:
        """Reopen the log files that workers inherit."""
        settings, access_log = self._state.settings, self._state.options.access_log
        # What the master prints itself is captured only where an application is in it.
        error_log.reopen_error_log(captured=settings.capture_output and settings.preload)
        if access_log is not None:
            access_log.reopen()
        give_logs(self._identity, self._state.options.access_log)
        logger.info("Log files are reopened.")

    def supervisor(
        self,
        policy: Policy,
        callbacks: Callbacks,
        handover: Handover,
        signals: SignalQueue,
        works: list[Work],
    ) -> Supervisor:
        """Return the master that keeps these workers."""
        return Supervisor(policy, callbacks, handover, signals, works)

    def works(self) -> list[Work]:
        """Return what the master does beside keeping workers."""
        works: list[Work] = []
        if self._state.listeners.certificates is not None:
            works.append(CertificateWatch(lambda: self._state.listeners.certificates))
        if self._ops_listener is not None:
            rules = ops_rules(self._state.settings, self._identity)
            process = import_module("bare_serve.supervision.ops_process")
            self._ops = process.OpsProcess(self._ops_listener, rules)
            works.append(self._ops)
        return works

    def serve_in_child(self, slot: WorkerSlot, number: int) -> None:
        """Live the life of one forked worker; report a failed boot to the master."""
        forks.holds(self._descriptors)
        if self.has_titles:  # before the user changes: the kernel lets nobody write then
            titles.set_title(f"bare-serve: worker {number}", f"bare-serve w{number}")

        def begun(life: Lifecycle) -> None:
            slot.life = life

        try:
            share = self._shares.share(number)
            self._boot().serve(self._slot(slot), begun, self._master, share, number)
        except BareServeError as error:
            self._tell_failure(slot, error)

    def _tell_failure(self, slot: WorkerSlot, error: BareServeError) -> None:
        details = error.details if isinstance(error, AppLoadError) else ""
        slot.failed(str(error), details, misused=isinstance(error, UsageError))

    def _slot(self, slot: WorkerSlot) -> Slot:
        return slot

    def serve_here(self, when_ready: Callable[[], None]) -> int:
        """Serve in this process, for a debugger."""

        def announce(facts: Mapping[str, str]) -> None:
            when_ready()
            self.announce(facts)

        def begun(life: Lifecycle) -> None:
            self.life = life

        slot = OwnSlot(announce, self.describe)
        try:
            self._boot().serve(slot, begun)
        finally:
            slot.close()
        return 0

    def describe(self) -> dict[str, Any]:
        """Return what others may know of this server: `facts` of counts/records.py."""
        state = self._state
        differing = {
            option.key: shown(option, getattr(state.settings, option.name))
            for option in OPTIONS
            if option.stands_for is None
            and option.name != "app"
            and option.name in state.settings.sources
            and getattr(state.settings, option.name) != option.default
        }
        certificates = state.listeners.certificates
        expires = math.inf if certificates is None else certificates.not_after()
        return {
            **({"certificate_expires": expires} if expires < math.inf else {}),
            "version": __version__,
            "target": state.application.target,
            "addresses": [url_of(*each) for each in state.listeners.sockets.items()],
            "settings": differing,
        }

    def _boot(self) -> boot.Boot:
        return boot.Boot(self._state, self._identity, self._preloaded)

    def announce(self, facts: Mapping[str, str]) -> None:
        """Show the banner, with what the first worker found out."""
        settings = self._state.settings
        inside = "0, served in this process" if settings.workers == 0 else repr(settings.workers)
        rows = [
            ("app", with_reason(facts["target"], self._state.application.how)),
            ("interface", with_reason(facts["interface"], facts["detected"])),
            *middleware_row(settings),
            *static_row(settings),
            *self._state.listeners.rows(),
            ("workers", inside),
            *((name, facts[name]) for name in ("parser", "loop", "lifespan") if name in facts),
            *(() if self._ops_listener is None else [_ops().row(self._ops_listener, settings)]),
            *self._more_rows(),
            ("pid", str(os.getpid())),
        ]
        hint = "Press Ctrl-C to stop." if sys.stdin is not None and sys.stdin.isatty() else ""
        title = f"bare-serve {__version__}"
        if not error_log.log_facts(title, rows):
            console.banner(title, rows, hint)
        if settings.open:
            opening = import_module("bare_serve.server.opening")
            opening.open_for(self._state.listeners, settings.root_path)
        self._warn_of_what_is_idle("wsgi" if facts["interface"] == INTERFACES["wsgi"] else "asgi")

    def _more_rows(self) -> Iterable[tuple[str, str]]:
        """Return rows of the banner that only some servers have."""
        return ()

    def _warn_of_what_is_idle(self, kind: str) -> None:
        """No error: services of both kinds may share a file of settings, or an environment."""
        if idle := without_effect(self._state.settings, kind):
            logger.warning(
                "The application is %s, to which these settings mean nothing: %s.",
                *(kind.upper(), ", ".join(idle)),
            )
