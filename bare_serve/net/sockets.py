"""Listening sockets: from what the user wrote to a socket that listens.

`parse_address` only reads text, `bind` asks the system, `release` cleans up after it; every
refusal names the address and says what to do, and a port in use is traced to its holder where
/proc tells. Sockets are close-on-exec: programs that an application starts must not hold its
port. Accepted connections are the workers' matter.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import stat
import struct
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from bare_serve.errors import BareServeError, UsageError
from bare_serve.system.links import Circle, StrangersLink, folder_of

BACKLOG = 2048

_FORMS = "HOST:PORT, :PORT, [IPV6]:PORT, unix:PATH, unix:@NAME or fd://N"
_ROOM = 100
ROLES = ("tls", "redirect")
_TCP = re.compile(r"(?:\[(?P<v6>[^\[\]]*)\]|(?P<host>[^:\[\]/\s]*)):(?P<port>[^:]*)")
_DIGITS = re.compile(r"[0-9]{1,9}")
Place = tuple[int | None, str]
"""A directory's descriptor and a name in it; None where the name is a path."""
_LISTENING = "0A"  # TCP_LISTEN in /proc/net/tcp (linux/include/net/tcp_states.h)


class Address(NamedTuple):
    """One place to listen; only the fields of its kind mean something."""

    kind: Literal["tcp", "unix", "fd"]
    host: str = ""
    port: int = 0
    path: str = ""
    fd: int = -1
    role: str = ""
    """What it was marked as: tls, redirect (to https), or nothing."""

    @property
    def abstract(self) -> bool:
        """A name in Linux's own namespace for unix sockets, which is no file (unix(7))."""
        return self.kind == "unix" and self.path.startswith("@")

    def anchored(self) -> Address:
        """Return the same address with a relative path made absolute from here."""
        if self.kind != "unix" or self.abstract:
            return self
        return self._replace(path=os.path.abspath(self.path))  # noqa: PTH100 (links stay)

    def __str__(self) -> str:
        if self.kind == "unix":
            return f"unix:{self.path}"
        if self.kind == "fd":
            return f"fd://{self.fd}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read HOST:PORT, :PORT (every IPv4 interface), [IPV6]:PORT, unix:PATH, unix:@NAME or fd://N.

    In front of it may be `tls:` or `redirect:`.
    """
    role, _, rest = text.partition(":")
    if role in ROLES:
        return parse_address(rest)._replace(role=role)
    if text.startswith("unix:"):
        return _parse_unix(text)
    if text.startswith("fd://"):
        number = text.removeprefix("fd://")
        if not _DIGITS.fullmatch(number):
            raise UsageError(f"Bad address {text!r}: fd:// takes a file descriptor, as in fd://3.")
        return Address("fd", fd=int(number))
    if (match := _TCP.fullmatch(text)) is None:
        raise UsageError(f"Bad address {text!r}: {_hint(text)}")
    port = match["port"]
    if not _DIGITS.fullmatch(port) or int(port) > 65535:
        raise UsageError(f"Bad address {text!r}: the port must be a number from 0 to 65535.")
    if match["v6"] is not None and ":" not in match["v6"]:
        raise UsageError(f"Bad address {text!r}: only IPv6 addresses are put in brackets.")
    return Address("tcp", host=match["v6"] or match["host"] or "0.0.0.0", port=int(port))


def _parse_unix(text: str) -> Address:
    path = text.removeprefix("unix:")
    if not path or path.endswith("/") or "\0" in path:
        raise UsageError(
            f"Bad address {text!r}: give the path of a socket, as in unix:/run/app.sock."
        )
    if path.startswith("@") and (path == "@" or not sys.platform.startswith("linux")):
        raise UsageError(
            f"Bad address {text!r}: unix:@NAME is an abstract socket, which has a name and is of "
            "Linux; a file that is called so is unix:./@NAME."
        )
    if path.startswith("//"):  # unix:///run/app.sock, as URLs write it
        path = "/" + path.lstrip("/")
    return Address("unix", path=path)


def _hint(text: str) -> str:
    """Return what the text most likely meant."""
    if "," in text:
        return "it is one address; repeat the option for each, as in --bind :8000 --bind :8001."
    if "://" in text:
        return f"leave out the scheme; an address is {_FORMS}."
    if _DIGITS.fullmatch(text):
        return f"did you mean :{text} or 127.0.0.1:{text}?"
    if text.count(":") > 1 and "[" not in text:
        return "put IPv6 addresses in brackets, as in [::1]:8000."
    if text.startswith(("/", "@")):
        return f"did you mean unix:{text}?"
    if text and re.fullmatch(r"[\w.-]+|\[[0-9a-fA-F:.]+\]", text):
        return f"the port is missing, as in {text}:8000."
    return f"an address is {_FORMS}."


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


def unmarked(text: str) -> str:
    """Return an address without what it was marked as."""
    role, _, rest = text.partition(":")
    return rest if role in ROLES else text


def url_of(sock: socket.socket, role: str = "") -> str:
    """Return where to reach the socket: http://127.0.0.1:8000 or unix:/run/app.sock."""
    name = sock.getsockname()
    scheme = "https" if role == "tls" else "http"
    more = " (redirects to https)" if role == "redirect" else ""
    if sock.family == socket.AF_INET6:
        return f"{scheme}://[{name[0]}]:{name[1]}{more}"
    if sock.family == socket.AF_INET:
        return f"{scheme}://{name[0]}:{name[1]}{more}"
    path = os.fsdecode(name)
    if path.startswith("\0"):  # an abstract one
        path = f"@{path[1:]}"
    return f"unix:{path}{' (TLS)' if role == 'tls' else more}"


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
    holder, advice = _holder(address, family)
    who = f" by {holder}" if holder else ""
    return BareServeError(
        f"Cannot listen on {address}: it is in use{who}. {advice} or bind another address."
    )


def _holder(address: Address, family: int) -> tuple[str, str]:
    """Return the process that listens there, as "pid 123 (command)", or "" where unknown; and
    what to do about it."""
    stop = "Stop that program"
    inodes = set(_unix_inodes(address.path) if family == socket.AF_UNIX else _tcp_inodes(address))
    links = {f"socket:[{inode}]" for inode in inodes}
    pids = {pid for pid in _processes() if links and _opens(pid, links)}
    # A pre-forking server holds its socket in every process; its master is the one to stop.
    masters = [pid for pid in sorted(pids) if _parent(pid) not in pids]
    if not masters:
        return "", stop
    pid = masters[0]
    if pid == os.getpid():
        return "this very command, which binds it twice", stop
    holder = f"pid {pid} ({_command(pid)})"
    if _is_left_behind(pid) and not any(_parent(each) == pid for each in pids):
        return (
            f"{holder}, whose parent has ended without it: a process that an application has "
            "started, or a worker that still finishes its requests",
            f"End it (kill {pid})",
        )
    return holder, stop


def _is_left_behind(pid: int) -> bool:
    """Whether the process was started by another one that is gone: it leads neither its session
    nor its group, and its parent is of another session, as whoever adopts orphans is."""
    _, group, session = _relatives(pid)
    return pid not in (group, session) and _relatives(_parent(pid))[2] != session


def _tcp_inodes(address: Address) -> Iterator[str]:
    wanted = _table_form(_resolve(address)[1][0])
    for fields in (*_table("tcp"), *_table("tcp6")):
        # sl local_address rem_address st ... uid timeout inode (proc_net_tcp.txt)
        if len(fields) > 9 and fields[3] == _LISTENING:
            host, _, port = fields[1].rpartition(":")
            # The wildcard, all zeros, collides with every address and every address with it.
            collides = host == wanted or not int(host, 16) or not int(wanted, 16)
            if int(port, 16) == address.port and collides:
                yield fields[9]


def _table_form(host: str) -> str:
    """Return an address as /proc/net/tcp has it: 32-bit words in the machine's byte order."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    packed = socket.inet_pton(family, host.partition("%")[0])
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words)


def _unix_inodes(path: str) -> Iterator[str]:
    for fields in _table("unix"):
        if len(fields) == 8 and fields[7] == path:
            yield fields[6]


def _table(name: str) -> Iterator[list[str]]:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/net/{name}").read_text(errors="replace").splitlines()[1:]:
            yield line.split()


def _processes() -> Iterator[int]:
    with contextlib.suppress(OSError):
        yield from (int(name) for name in os.listdir("/proc") if name.isdigit())


def _opens(pid: int, links: set[str]) -> bool:
    with contextlib.suppress(OSError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if str(Path(f"/proc/{pid}/fd/{fd}").readlink()) in links:
                    return True
    return False


def _parent(pid: int) -> int:
    return _relatives(pid)[0]


def _relatives(pid: int) -> tuple[int, int, int]:
    """Return parent, group and session of a process; zeros where /proc is missing."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        # The command name is in parentheses and may hold anything, so read from behind it.
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2]
        fields = text.split()
        return int(fields[1]), int(fields[2]), int(fields[3])
    return 0, 0, 0


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        text = " ".join(word for word in words if word).strip()
        text = "".join(char if char.isprintable() else "?" for char in text)
        if text:
            return text if len(text) <= 80 else text[:77] + "..."
    return "command unknown"
