"""Listening sockets: from an address to a socket that listens on it.

`bind` asks the system, `release` cleans up after it; every refusal names the address and says what
to do. How an address is written is in bind_address.py, who holds one that is in use in holders.py.
Sockets are close-on-exec: programs that an application starts must not hold its port. Accepted
connections are the workers' matter.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from bare_serve.errors import BareServeError, UsageError
from bare_serve.net.bind_address import Address
from bare_serve.system.links import Circle, StrangersLink, folder_of

BACKLOG = 2048

_ROOM = 100
Place = tuple[int | None, str]
"""A directory's descriptor and a name in it; None where the name is a path."""


class Access(NamedTuple):
    """Who may use an address beside this process."""

    mode: int | None = None
    """The permissions of a unix socket's file; None for those that the umask leaves."""
    owner: tuple[int, int] | None = None
    """The user and group that a unix socket's file is given to."""
    reuse_port: bool = False
    """Whether another server of the same user may listen on the same port, and share its load."""


ORDINARY = Access()


def from_systemd(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the addresses that systemd passes to this process, by sd_listen_fds(3)."""
    with contextlib.suppress(KeyError, ValueError):
        if int(environ["LISTEN_PID"]) == os.getpid():
            return tuple(f"fd://{3 + number}" for number in range(int(environ["LISTEN_FDS"])))
    return ()


def bind(address: Address, backlog: int = BACKLOG, access: Access = ORDINARY) -> socket.socket:
    """Return a non-blocking socket that listens on `address`."""
    if address.kind == "tcp":
        sock = _bind_tcp(address, access.reuse_port)
    elif address.kind == "unix":
        sock = _bind_unix(address, access)
    else:
        sock = _adopt(address)
    try:
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise _refusal(address, error, sock.family) from None
    sock.setblocking(False)
    return sock


def release(address: Address, sock: socket.socket) -> None:
    """Close a socket made by `bind` and remove its file; for the master only.

    Workers that still have it go on with the connections that wait; nobody else gets there.
    """
    sock.close()
    if address.abstract:
        return
    # Somebody who took the path over in the meantime answers, and keeps it.
    if address.kind == "unix" and _state_of(address.path) in ("dead", "ours"):
        with contextlib.suppress(OSError), folder_of(address.path) as (folder, name):
            os.unlink(name, dir_fd=folder)


def _bind_tcp(address: Address, reuse_port: bool) -> socket.socket:
    family, sockaddr = _resolve(address)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            # Not left to the system's default: `[::]` is every interface, IPv4 included.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(sockaddr)
    except OSError as error:
        sock.close()
        raise _refusal(address, error, family) from None
    return sock


def _resolve(address: Address) -> tuple[int, tuple[Any, ...]]:
    host = address.host
    # As bytes, Python need not import the rules of international names: 2 ms of each start.
    plain = host.encode() if host.isascii() else host
    try:
        found = socket.getaddrinfo(
            plain, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (socket.gaierror, UnicodeError):
        raise UsageError(
            f"Cannot listen on {address}: the host {address.host!r} is unknown on this machine."
        ) from None
    # A name such as localhost may stand for both; IPv4 is what people then type and expect.
    best = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return best[0], best[4]


def _bind_unix(address: Address, access: Access) -> socket.socket:
    try:
        if address.abstract:
            return _bind_abstract(address, access)
        with folder_of(address.path) as place:
            return _bind_in(place, address, access)
    except OSError as error:
        raise _refusal(address, error, socket.AF_UNIX) from None


def _bind_abstract(address: Address, access: Access) -> socket.socket:
    if access.mode is not None:
        raise UsageError(
            f"Cannot listen on {address}: an abstract socket has no permissions, everybody on this "
            "machine may connect; leave out --uds-mode or choose a path."
        )
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(f"\0{address.path[1:]}")
    except OSError as error:
        sock.close()
        if error.errno is None:
            raise _too_long(address) from None
        raise
    return sock


def _bind_in(place: Place, address: Address, access: Access) -> socket.socket:
    state = _state_of(address.path)
    if state in ("alive", "ours"):
        raise _in_use(address, socket.AF_UNIX)
    if state == "other":
        raise UsageError(
            f"Cannot listen on {address}: the file exists and is not a socket. "
            "Remove it or choose another path."
        )
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if state == "dead":
            os.unlink(place[1], dir_fd=place[0])
        _bind_file(sock, address.path, access, place)
    except OSError as error:
        sock.close()
        if error.errno is None:  # Python's own check: "AF_UNIX path too long"
            raise _too_long(address) from None
        raise
    return sock


def _too_long(address: Address) -> UsageError:
    return UsageError(
        f"Cannot listen on {address}: the path is too long for a unix socket "
        f"({len(os.fsencode(address.path))} bytes; the system takes about 100)."
    )


def _bind_file(sock: socket.socket, path: str, access: Access, place: Place) -> None:
    """Bind with the permissions there shall be; nobody can connect before it listens.

    The path may lead elsewhere a moment later, so nothing is done to what a link there names, and
    what is given away is in the directory that was looked at. bind(2) itself knows no directories.
    """
    if access.mode is None:
        sock.bind(path)
    else:
        os.fchmod(sock.fileno(), access.mode)  # what bind() makes has it, less the umask
        before = os.umask(0)
        try:
            sock.bind(path)
        finally:
            os.umask(before)
    folder, name = place
    if folder is not None:
        os.stat(name, dir_fd=folder, follow_symlinks=False)  # else it has become another one
    if access.owner is not None:
        os.chown(name, *access.owner, dir_fd=folder, follow_symlinks=False)


def _state_of(path: str) -> Literal["absent", "other", "dead", "alive", "ours"]:
    """Return what is at the path: a socket is dead if no process listens on it.

    It is ours if this process made it listen, whoever accepts (SO_PEERCRED of unix(7)).
    """
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return "other"
    except OSError:
        return "absent"  # or unreachable, which bind() will then say
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a full backlog is a sign of life, not a reason to wait
        try:
            with _short(path) as way:
                probe.connect(way)
        except ConnectionRefusedError:
            return "dead"
        except OSError:
            return "alive"
        if hasattr(socket, "SO_PEERCRED"):
            credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            return "ours" if struct.unpack("3i", credentials)[0] == os.getpid() else "alive"
    return "alive"


@contextlib.contextmanager
def _short(path: str) -> Iterator[str]:
    """Return a short path to the same file: a socket's address has room for about 100 bytes."""
    if len(os.fsencode(path)) <= _ROOM or not hasattr(os, "O_PATH"):
        yield path
        return
    folder = os.open(Path(path).parent, os.O_PATH | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{Path(path).name}"
    finally:
        os.close(folder)


def _adopt(address: Address) -> socket.socket:
    """Take over a socket that the parent process opened."""
    try:
        is_socket = stat.S_ISSOCK(os.fstat(address.fd).st_mode)
    except OSError:
        raise UsageError(f"Cannot listen on {address}: this descriptor is not open.") from None
    if not is_socket:
        raise UsageError(f"Cannot listen on {address}: this descriptor is not a socket.")
    sock = socket.socket(fileno=address.fd)
    stream = sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
    name = sock.getsockname()
    # A TCP socket that was never bound would listen on a port of the system's choice.
    bound = bool(name) if sock.family == socket.AF_UNIX else stream and name[1] != 0
    if not stream or not bound:
        sock.detach()
        what = "bound to an address" if stream else "a stream socket"
        raise UsageError(f"Cannot listen on {address}: this socket is not {what}.")
    sock.set_inheritable(False)
    return sock


def _refusal(address: Address, error: OSError, family: int) -> BareServeError:
    """Return the system's error, with what the user can do about it."""
    if error.errno == errno.EADDRINUSE:
        return _in_use(address, family)
    if isinstance(error, StrangersLink | Circle):
        return UsageError(f"Cannot listen on {address}: {error.strerror}.")
    if error.errno in (errno.EACCES, errno.EPERM):
        return BareServeError(f"Cannot listen on {address}: {_forbidden(address)}.")
    if error.errno == errno.EADDRNOTAVAIL:
        return UsageError(f"Cannot listen on {address}: this machine has no such address.")
    if address.kind == "unix" and error.errno in (errno.ENOENT, errno.ENOTDIR):
        parent = Path(address.path).absolute().parent
        return UsageError(f"Cannot listen on {address}: there is no directory {parent}.")
    return BareServeError(f"Cannot listen on {address}: {error.strerror or error}.")


def _forbidden(address: Address) -> str:
    if address.kind == "unix":
        return f"no permission to create files in {Path(address.path).absolute().parent}"
    if address.kind == "tcp" and address.port < 1024:
        return "ports below 1024 need more rights. Choose a higher one, such as 8000"
    return "the system does not allow it"


def _in_use(address: Address, family: int) -> BareServeError:
    # Imported here, as hardly any start needs it.
    from bare_serve.net.holders import holder_of

    name = address.path if family == socket.AF_UNIX else _resolve(address)[1]
    holder, advice = holder_of(name)
    who = f" by {holder}" if holder else ""
    return BareServeError(
        f"Cannot listen on {address}: it is in use{who}. {advice} or bind another address."
    )
