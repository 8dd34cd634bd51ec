"""The options of operations: the ops process, and what a stop waits for before it begins.

What lives here: these lines of the table of options. What must not: the other lines, and the table
itself (settings.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from bare_serve.config import kinds
from bare_serve.config.options import option


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class OperationsSettings:
    """A part of Settings."""

    ops: str | None = option(
        None,
        "Operations",
        kinds.ADDRESS,
        "Where a process beside the workers answers probes and scrapers: /live, /ready, /metrics, "
        "/status, /stacks. HOST:PORT or unix:PATH.",
    )
    ops_control: bool = option(
        False,
        "Operations",
        kinds.SWITCH,
        "Take orders there as well: POST of /reload, /more, /fewer, /replace/N, /reopen.",
    )
    ops_token_file: str | None = option(
        None,
        "Operations",
        kinds.TEXT,
        "A file, readable for its owner alone, with the token that clients have to show there.",
    )
    ops_host: tuple[str, ...] = option(
        (),
        "Operations",
        kinds.several(kinds.HOST, r"[,\s]+", anywhere=True),
        "A name by which clients may call that address, beside localhost and its number; "
        "repeatable.",
    )
    drain_delay: float = option(
        0.0,
        "Operations",
        kinds.duration(),
        "Go on serving for so long once told to stop, with /ready at 503, for load balancers.",
    )
    log_slow: float = option(
        0.0,
        "Logging",
        kinds.duration(),
        "Log a request that takes longer than this: while it runs, with the line that the "
        "application is on, and when it ends; off by default.",
    )
    xray: str = option(
        "off",
        "Logging",
        kinds.XRAY,
        "Show each request on standard error, step by step, with times: bytes, environ or scope, "
        "what the application does, bytes. =full: each key, and more of bodies.",
    )
    xray_filter: str | None = option(
        None, "Logging", kinds.XRAY_FILTER, "Which requests it shows, such as 'GET /orders*'."
    )
    xray_bodies: bool = option(
        True, "Logging", kinds.SWITCH, "Whether it shows the beginning of bodies."
    )
