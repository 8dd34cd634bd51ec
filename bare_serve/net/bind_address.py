"""Where to listen, as users write it: HOST:PORT, unix:PATH, fd://N and what stands in front of it.

What lives here: what an address is (`Address`), how it is read and how it is written, also that of
a socket that is bound. Every refusal repeats the text and says what to write instead. What must
not: asking the system anything about an address; that is sockets.py.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from typing import Literal, NamedTuple

from bare_serve.errors import UsageError

ROLES = ("tls", "redirect")

_FORMS = "HOST:PORT, :PORT, [IPV6]:PORT, unix:PATH, unix:@NAME or fd://N"
_TCP = re.compile(r"(?:\[(?P<v6>[^\[\]]*)\]|(?P<host>[^:\[\]/\s]*)):(?P<port>[^:]*)")
_DIGITS = re.compile(r"[0-9]{1,9}")
_HOST = re.compile(r"(?:(?:tls|redirect):)?(?:\[[0-9a-fA-F:.]+\]|[\w.-]*[^\W_][\w.-]*)")
_NO_HOST = re.compile(r"(?:(?:tls|redirect):)?(?:[0-9]+|tls|redirect|unix|fd)|.*\.sock")


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
        """Return the same wherever this process may go: a relative path is one from here."""
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
    """Return what this was most likely meant to say."""
    if "," in text:
        return "it is one address; repeat the option for each, as in --bind :8000 --bind :8001."
    if "://" in text:
        return f"leave out the scheme; an address is {_FORMS}."
    if _DIGITS.fullmatch(text):
        return f"did you mean :{text} or 127.0.0.1:{text}?"
    if text.count(":") > 1 and "[" not in text:
        return "put IPv6 addresses in brackets, as in [::1]:8000."
    if text.startswith(("/", "@")) or text.endswith(".sock"):
        return f"did you mean unix:{text}?"
    if text and re.fullmatch(r"[\w.-]+|\[[0-9a-fA-F:.]+\]", text):
        return f"the port is missing, as in {text}:8000."
    return f"an address is {_FORMS}."


def lacks_port(text: str) -> bool:
    """Return whether `text` is a host alone, such as 0.0.0.0, [::] or tls:localhost."""
    return bool(_HOST.fullmatch(text)) and not _NO_HOST.fullmatch(text)


def with_port(text: str, port: int) -> str:
    """Return an address as it is, a host alone with this port."""
    return f"{text}:{port}" if lacks_port(text) else text


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
    return f"unix:{path_of(sock)}{' (TLS)' if role == 'tls' else more}"


def path_of(sock: socket.socket) -> str:
    """Return the path of a bound unix socket; an abstract one is @NAME."""
    path = os.fsdecode(sock.getsockname())
    return f"@{path[1:]}" if path.startswith("\0") else path
