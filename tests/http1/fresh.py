"""A sequence of heads against each head alone: the oracle of all that a connection remembers.

Each head of a sequence is read by a connection that has read those before it, and by one that has
read none, for which the scanner alone is the parser. Both must give the same head, or refuse it in
the same words.
"""

from __future__ import annotations

from collections.abc import Iterable

from bare_serve.errors import RequestError
from bare_serve.http import IDLE, Limits, RequestHead
from bare_serve.http1 import ServerConnection
from tests.http1.harness import connect

Facts = dict[str, object] | tuple[int, str]


def facts(connection: ServerConnection, raw: bytes) -> Facts:
    """What the connection makes of a head; it is answered at once."""
    connection.receive_data(raw)
    try:
        head = connection.next_event()
    except RequestError as error:
        return error.status, error.reason
    if not isinstance(head, RequestHead):
        return 0, str(head)
    names = set(RequestHead.__slots__) - {"logged"}
    assert head.logged is None
    found = {name: getattr(head, name) for name in names}
    found["headers"] = list(head.headers)
    if not head.has_body:
        connection.start_response(200, [])
        connection.send_body(b"", False)
        connection.next_event()
    return found


class Unsure:
    """A parser that leaves each head to the scanner."""

    def parse(self, block: bytes) -> None:
        return None


def same_as_fresh(raws: Iterable[bytes], parser: str, limits: Limits) -> None:
    connection = connect(parser, limits)
    for raw in raws:
        if connection.phase != IDLE:  # closed, or in a body: what comes next is no head
            connection = connect(parser, limits)
        fresh = ServerConnection(Unsure(), limits)
        assert facts(connection, raw) == facts(fresh, raw), raw
