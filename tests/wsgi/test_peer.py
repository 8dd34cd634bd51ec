"""What the kernel knows of a client: whether it has left, and what it has not taken."""

from __future__ import annotations

import socket

from bare_serve.wsgi.peer import has_left, untaken


def test_a_socket_that_is_closed_has_nobody_at_its_end() -> None:
    sock = socket.socket()
    sock.close()
    assert has_left(sock) is True


def test_nothing_is_known_of_a_descriptor_that_is_no_socket() -> None:
    sock = socket.socket()
    fd = sock.detach()
    socket.close(fd)
    assert untaken(fd) == 0


def test_what_was_sent_and_not_taken() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert untaken(ours.fileno()) == 0
        ours.sendall(bytes(1000))
        assert untaken(ours.fileno()) >= 1000
        assert theirs.recv(1000) == bytes(1000)
        assert untaken(ours.fileno()) == 0
        assert (has_left(ours), has_left(theirs)) == (False, False)
        theirs.shutdown(socket.SHUT_WR)
        assert (has_left(ours), has_left(theirs)) == (True, False)
