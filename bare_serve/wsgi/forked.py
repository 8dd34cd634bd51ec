"""Connections in a process that the application has forked.

Such a process may run its own code for as long as it likes. When it comes back from the
application's call, it would answer a request that is the other process's to answer. The first thing
that it then does is to ask its connection; so there the process ends, and no request that is
served in peace is asked whether it is a copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from bare_serve.system import forks
from bare_serve.wsgi.connection import Connection

_kinds: dict[type[Connection], type[Connection]] = {}


def make_copies(connections: Mapping[int, Connection]) -> None:
    """Turn connections into copies, in the new process: code that uses a copy ends there."""
    for connection in connections.values():
        kind = type(connection)
        if kind not in _kinds:
            _kinds[kind] = type(f"Copied{kind.__name__}", (kind,), {**_MEMBERS})
        connection.__class__ = _kinds[kind]


def _end(*_: Any) -> NoReturn:
    forks.end_copy()
    raise AssertionError("only in a fork")


_MEMBERS: dict[str, Any] = {
    "__slots__": (),
    **dict.fromkeys(("transmit", "send_piece", "take_kept", "transmit_file"), _end),
    **dict.fromkeys(("release", "release_last", "receive_body", "close"), _end),
    **dict.fromkeys(("failure", "given_up"), property(_end)),
}
