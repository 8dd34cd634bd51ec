"""What a server is at the moment, which a reload replaces as a whole.

What lives here: one record. What must not: how it comes about (server/run.py, server/reload.py).
"""

from __future__ import annotations

from typing import NamedTuple

from bare_serve.config.settings import Settings
from bare_serve.hooks.loading import Hooks
from bare_serve.server.application import Application
from bare_serve.server.listeners import Listeners
from bare_serve.workers.options import ServeOptions


class State(NamedTuple):
    """A worker is forked with the state of that moment, and keeps it."""

    settings: Settings
    application: Application
    listeners: Listeners
    hooks: Hooks
    options: ServeOptions
    """The workers' slice of the settings, with the access log, which is open."""
