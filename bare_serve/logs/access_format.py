"""What an access line says: the text for people, or JSON.

What lives here: records in, text out, and what is escaped or left out. What must not: writing,
descriptors (logs/access_log.py), formats that the user makes (logs/access_atoms.py).

Everything that came from a client is escaped, so that a line stays a line and a quoted value stays
quoted.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import unquote_plus

from bare_serve.logs import zone
from bare_serve.logs.request_ids import request_id_of, trace_id_of


class LoggedRequest(Protocol):
    """A request as its line wants to know it: a RequestHead, or what a WebSocket began with."""

    logged: str | None
    """What a format makes of the request line, kept for the next request with the same head."""

    @property
    def method(self) -> str: ...
    @property
    def target(self) -> bytes: ...
    @property
    def version(self) -> str: ...
    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]: ...


class LoggedResponse(Protocol):
    """The answer to it: a `ServerExchange`, or what a WebSocket ended with."""

    @property
    def status(self) -> int: ...
    @property
    def bytes_sent(self) -> int: ...
    @property
    def answer_lines(self) -> Sequence[bytes]: ...


class Record(NamedTuple):
    """One answered request."""

    client: str
    """An address, or nothing for a unix socket."""
    request: LoggedRequest
    response: LoggedResponse
    seconds: float
    note: str = ""


_UNSAFE_WORD = re.compile(r"[^\x21-\x5b\x5d-\x7e]")
UNSAFE = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")
_REMEMBERED = 1000
_Key = TypeVar("_Key")


class Format(NamedTuple):
    """How records become lines.

    `line` gets what `stamp` made of the time, which is asked for once a second, and the parts of a
    Record.
    """

    line: Callable[..., str]
    stamp: Callable[[float], Any]


Clean = Callable[[str], str]
"""Takes out of a target or an address what must not be written down."""


def text_format(*, colour: bool = False, redact: Iterable[str] = ()) -> Format:
    """Date, time, client, method, target, protocol, status, bytes, milliseconds, note."""
    clean = redactor(redact)
    harmless: set[str] = set()
    tails: dict[tuple[int, int], str] = {}
    tooks: dict[int, str] = {}

    def request_line(request: LoggedRequest) -> str:
        target = request.target.decode("latin-1")
        if clean is not None:
            target = clean(target)
        return f"{word(request.method)} {word(target)} HTTP/{request.version}"

    def line(
        stamp: str,
        client: str,
        request: LoggedRequest,
        response: LoggedResponse,
        seconds: float,
        note: str,
    ) -> str:
        # All this comes again, and costs less to look up than to write: see "access log" in
        # benchmarks/core.
        what = request.logged
        if what is None:
            what = request.logged = request_line(request)
        if client not in harmless:
            client = word(client)
            if len(harmless) < _REMEMBERED:
                harmless.add(client)
        key = (response.status, response.bytes_sent)
        tail = tails.get(key)
        if tail is None:
            tail = _remember(tails, key, f"{key[0]} {key[1]}")
        hundredths = int(seconds * 100_000 + 0.5)  # of a millisecond
        took = tooks.get(hundredths)
        if took is None:
            text = f"{hundredths // 100}.{hundredths % 100:02}ms"
            took = _remember(tooks, hundredths, text)
        if note:
            note = f" {note}"
        return f"{stamp} {client} {what} {tail} {took}{note}\n"

    return Format(_coloured(line) if colour else line, zone.stamp)


def _remember(memory: dict[_Key, str], key: _Key, text: str) -> str:
    """Keep it, in the place of all others when there are too many."""
    if len(memory) >= _REMEMBERED:
        memory.clear()
    memory[key] = text
    return text


_PARTS = re.compile(r"(\S+ \S+ \S+) (\S+ \S+) (\S+) (\d+)")


def _coloured(line: Callable[..., str]) -> Callable[..., str]:
    """Return a format of the same line with its parts coloured, for a terminal."""

    def coloured(*record: Any) -> str:
        match = _PARTS.match(plain := line(*record))
        assert match is not None
        when, what, protocol, status = match.groups()
        hue = {"2": 32, "3": 36, "4": 33, "5": 31}.get(status[0], 39)
        return (
            f"\x1b[2m{when}\x1b[0m \x1b[1m{what}\x1b[0m \x1b[2m{protocol}\x1b[0m"
            f" \x1b[{hue}m{status}\x1b[0m{plain[match.end() :]}"
        )

    return coloured


def word(text: str) -> str:
    """Return one word for a column: a dash for nothing, escapes for what would break the line."""
    # Quick questions instead of a regex; of ASCII, what is printable begins with the space.
    if text.isascii() and text.isprintable() and " " not in text and "\\" not in text:
        return text or "-"
    return _UNSAFE_WORD.sub(escape, text)


def safe(text: str) -> str:
    """Return a value that may stand between quotes; a dash for nothing."""
    return UNSAFE.sub(escape, text) if text else "-"


def escape(match: re.Match[str]) -> str:
    return '\\"' if match[0] == '"' else f"\\x{ord(match[0]):02x}"


def redactor(names: Iterable[str]) -> Clean | None:
    """Return a function that puts `[redacted]` for these query parameters; None for no names."""
    hidden = frozenset(name.lower() for name in names)
    if not hidden:
        return None

    def clean(target: str) -> str:
        path, mark, rest = target.partition("?")
        query, fragment_mark, fragment = rest.partition("#")
        return path + mark + "&".join(map(hide, query.split("&"))) + fragment_mark + fragment

    def hide(pair: str) -> str:
        name, equals, _ = pair.partition("=")
        return f"{name}=[redacted]" if equals and unquote_plus(name).lower() in hidden else pair

    return clean


def same(target: str) -> str:
    return target


def joined(request: LoggedRequest, wanted: bytes) -> str:
    """Return the values of one field of the request, joined."""
    found = [value for name, value in request.headers if name == wanted]
    return b",".join(found).decode("latin-1")


def json_format(redact: Iterable[str] = ()) -> Format:
    """Return one object a line; docs/logging.md lists its keys, which are only ever added to."""
    clean = redactor(redact) or same

    def stamp(now: float) -> str:
        return (
            f'{{"time":"{iso_time(now)}","level":"info","logger":"bare_serve.access"'
            f',"worker":{os.getpid()},"client":'
        )

    def line(
        stamp: str,
        client: str,
        request: LoggedRequest,
        response: LoggedResponse,
        seconds: float,
        note: str,
    ) -> str:
        path, _mark, query = clean(request.target.decode("latin-1")).partition("?")
        request_id = request_id_of(request, response)
        trace = trace_id_of(request)
        traced = f',"trace_id":"{trace}"' if trace else ""
        noted = f',"note":{_quoted(note)}' if note else ""
        return (
            f"{stamp}{_quoted(client) if client else 'null'}"
            f',"method":{_quoted(request.method)},"path":{_quoted(path)},"query":{_quoted(query)}'
            f',"protocol":"HTTP/{request.version}","status":{response.status}'
            f',"bytes":{response.bytes_sent},"duration":{seconds:.6f}'
            f',"request_id":{_quoted(request_id) if request_id else "null"}{traced}{noted}}}\n'
        )

    return Format(line, stamp)


def iso_time(now: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
