"""What a reload goes on with, and what it says is new.

What lives here: comparing the settings of before with those of now. What must not: taking them over
(server/server.py).
"""

from __future__ import annotations

import logging
from dataclasses import replace

from bare_serve.config.settings import BY_NAME, OPTIONS, Settings, shown
from bare_serve.server.compose import TLS_SETTINGS

log = logging.getLogger("bare_serve.supervision")

# Decided when the process starts; a reload goes on with what was.
_FIXED = (
    *("bind", "host", "port", "uds_mode", "reuse_port"),
    *("preload", "user", "group", "umask", "pid"),
)


def changed(before: Settings, after: Settings) -> Settings:
    """What a reload goes on with: what is new, as far as a running process can take it over."""
    kept = {name: getattr(before, name) for name in _FIXED}
    refused = [BY_NAME[name].key for name in _FIXED if kept[name] != getattr(after, name)]
    if (before.ssl_certfile is None) is not (after.ssl_certfile is None):
        kept |= {name: getattr(before, name) for name in TLS_SETTINGS}
        refused.append("ssl-certfile")
    if (before.workers == 0) is not (after.workers == 0):
        kept["workers"] = before.workers
        refused.append("workers")
    if refused:
        log.warning("Only SIGUSR2 or a restart changes these: %s.", ", ".join(refused))
    return replace(after, **kept)


def differences(before: Settings, after: Settings) -> dict[str, str]:
    """The settings that are not what they were, each with what it is and was, in words."""
    found = {}
    for option in OPTIONS:
        if option.stands_for is None:
            old, new = getattr(before, option.name), getattr(after, option.name)
            if old != new:
                found[option.key] = f"{shown(option, new)} (was {shown(option, old)})"
    return found
