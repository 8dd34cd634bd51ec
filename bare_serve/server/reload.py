"""What a reload goes on with, and what it says is new.

What lives here: comparing the settings of before with those of now, and making the next state of
them. What must not: what the server does with it, and logs of it (server/server.py).
"""

from __future__ import annotations

import logging
import os
from dataclasses import replace

from bare_serve.config.settings import BY_NAME, OPTIONS, Settings
from bare_serve.config.shown import shown
from bare_serve.hooks.loading import load_hooks
from bare_serve.server.application import find_application
from bare_serve.server.compose import (
    OPS_SETTINGS,
    TLS_SETTINGS,
    check_installed,
    check_middleware,
    check_operations,
    check_static,
    serve_options,
)
from bare_serve.server.listeners import addresses, check_tls
from bare_serve.server.logs import set_up_logging
from bare_serve.server.state import State

logger = logging.getLogger("bare_serve.supervision")

# Decided when the process starts; a reload goes on with what was.
_FIXED = (
    *("bind", "host", "port", "uds_mode", "reuse_port", "ops"),
    *("preload", "user", "group", "umask", "pid"),
)


def changed(before: Settings, after: Settings) -> Settings:
    """Return `after` without the changes that a running process cannot take over; log those."""
    kept = {name: getattr(before, name) for name in _FIXED}
    refused = [BY_NAME[name].key for name in _FIXED if kept[name] != getattr(after, name)]
    if (before.ssl_certfile is None) is not (after.ssl_certfile is None):
        kept |= {name: getattr(before, name) for name in TLS_SETTINGS}
        refused.append("ssl-certfile")
    if before.ops != after.ops:
        kept |= {name: getattr(before, name) for name in OPS_SETTINGS}
    if (before.workers == 0) is not (after.workers == 0):
        kept["workers"] = before.workers
        refused.append("workers")
    if refused:
        logger.warning("Only SIGUSR2 or a restart changes these: %s.", ", ".join(refused))
    return replace(after, **kept)


def differences(before: Settings, after: Settings) -> dict[str, str]:
    """Return the settings that have changed, each with its new and its old value in words."""
    found = {}
    for option in OPTIONS:
        if option.stands_for is None:
            old, new = getattr(before, option.name), getattr(after, option.name)
            if old != new:
                found[option.key] = f"{shown(option, new)} (was {shown(option, old)})"
    return found


def renewed(state: State, settings: Settings) -> tuple[State, dict[str, str]]:
    """Return the next state, and what is new in it as of `differences`.

    All that can fail is done before logging is set up anew, which comes last: after an error the
    state of before is as good as it was. Certificates are read again in any case.

    Raises:
        BareServeError: there is no such state.
    """
    application = state.application
    if application.app is None:
        application = find_application(settings, None)
    check_installed(settings)
    check_operations(settings)
    check_middleware(settings)
    check_static(settings)
    check_tls(settings, addresses(settings, os.environ))
    listeners = state.listeners.with_certificates(settings)
    hooks = load_hooks(settings.hooks, settings.app_dir)
    changes = differences(state.settings, settings)
    options = listeners.complete(serve_options(settings)) if changes else state.options
    new, old = options.access_log, state.options.access_log
    try:
        set_up_logging(settings)
    except BaseException:
        if new is not old and new is not None:
            new.close()
        raise
    if new is not old and old is not None:
        old.close()
    return State(settings, application, listeners, hooks, options), changes
