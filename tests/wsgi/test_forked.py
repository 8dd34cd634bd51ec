"""A connection in a process that the application has forked: whoever uses it ends there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from bare_serve.system import forks
from bare_serve.wsgi.connection import Connection
from bare_serve.wsgi.forked import make_copies
from tests.wsgi.pairs import Pair

# Python 3.12 and later warn of a fork beside threads, such as those of the test runner.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

USES: dict[str, Callable[[Connection], object]] = {
    "transmit": lambda connection: connection.transmit(b"x", False),
    "transmit_file": lambda connection: connection.transmit_file(0, 0, 1),
    "release": lambda connection: connection.release(),
    "receive_body": lambda connection: connection.receive_body(),
    "close": lambda connection: connection.close(),
    "failure": lambda connection: connection.failure,
    "given_up": lambda connection: connection.given_up,
}
ENDED, WENT_ON, RAISED = 1, 3, 4


class OtherConnection(Connection):
    """As the one that speaks TLS."""

    __slots__ = ()


@pytest.fixture
def connection() -> Iterator[Connection]:
    both = Pair()
    yield both.connection
    both.connection.sock.close()  # its own close() may be that of a copy by now
    both.client.close()


def status_in_a_copy(connection: Connection, use: Callable[[Connection], object]) -> int:
    pid = os.fork()
    if not pid:
        status = RAISED
        try:
            forks._is_copy = True
            make_copies({connection.fd: connection})
            use(connection)
            status = WENT_ON
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_copy_that_uses_none_goes_on(connection: Connection) -> None:
    assert status_in_a_copy(connection, lambda connection: connection.sock) == WENT_ON


@pytest.mark.parametrize("use", USES)
def test_a_copy_ends_where_it_uses_a_connection(connection: Connection, use: str) -> None:
    """And a process that is none does not get past it."""
    assert status_in_a_copy(connection, USES[use]) == ENDED
    make_copies({connection.fd: connection})
    with pytest.raises(AssertionError, match="only in a fork"):
        USES[use](connection)


def test_a_copy_of_a_connection_is_of_its_kind(connection: Connection) -> None:
    """And keeps all that it had, such as its socket."""
    both, other = Pair(), Pair()
    other.connection.__class__ = OtherConnection
    socks = [each.sock for each in (connection, both.connection, other.connection)]
    make_copies({1: connection, 2: both.connection, 3: other.connection})
    copies = [connection, both.connection, other.connection]
    assert [each.sock for each in copies] == socks
    kinds = [type(each) for each in copies]
    assert kinds[0] is kinds[1] is not kinds[2]
    assert [kind.__bases__ for kind in kinds] == [(Connection,), (Connection,), (OtherConnection,)]
    for pair in (both, other):
        pair.connection.sock.close()
        pair.client.close()
