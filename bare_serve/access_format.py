"""What an access line says: the text for people, gunicorn's atoms, or JSON.

What lives here: records in, text out. What must not: writing, descriptors (access_log.py).

A format is compiled once; of a request only the atoms that it names are computed. Everything that
came from a client is escaped, so that a line stays a line and a quoted value stays quoted.
"""

from __future__ import annotations

import base64
import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from json.encoder import encode_basestring_ascii as _quoted
from types import SimpleNamespace
from typing import Any, Final, NamedTuple, Protocol, TypeVar
from urllib.parse import unquote_plus, unquote_to_bytes

from bare_serve.errors import UsageError


class Asked(Protocol):
    """A request as its line wants to know it: a RequestHead, or what a WebSocket began with."""

    logged: str | None
    """What a format makes of the request line, kept for the next request with the same head."""

    @property
    def method(self) -> str: ...
    @property
    def target(self) -> bytes: ...
    @property
    def minor(self) -> int: ...
    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]: ...


class Answered(Protocol):
    """The answer to it: a ServerConnection, or what a WebSocket ended with."""

    @property
    def status(self) -> int: ...
    @property
    def bytes_sent(self) -> int: ...
    @property
    def answer_lines(self) -> Sequence[bytes]: ...


Record = tuple[str, Asked, Answered, float, str]
"""Client, request, answer, seconds, note."""

_UNSAFE_WORD = re.compile(r"[^\x21-\x5b\x5d-\x7e]")
_UNSAFE = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")
_ATOM = re.compile(r"%\(((?:\{[^{}]*\}[ioe])|[A-Za-z_]+)\)[-+ 0#]*\d*(?:\.\d+)?[sd]|%%|%")
_REMEMBERED = 1000
_Key = TypeVar("_Key")
# The places in a Record.
_CLIENT: Final = 0
_ASKED: Final = 1
_ANSWERED: Final = 2
_SECONDS: Final = 3
_NOTE: Final = 4

NAMED = {
    "text": "",
    "common": '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s',
    "combined": '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"',
}


class Format(NamedTuple):
    """How records become lines.

    `line` gets what `stamp` made of the time, which is asked for once a second, and the parts of a
    Record.
    """

    line: Callable[..., str]
    stamp: Callable[[float], Any]

    def render(self, records: Iterable[Record], now: float) -> str:
        """The lines of several records of one time."""
        stamp = self.stamp(now)
        return "".join([self.line(stamp, *record) for record in records])


Clean = Callable[[str], str]
"""Takes out of a target or an address what must not be written down."""


def text_format(*, colour: bool = False, redact: Iterable[str] = ()) -> Format:
    """Date, time, client, method, target, protocol, status, bytes, milliseconds, note."""
    clean = redactor(redact)
    harmless: set[str] = set()
    tails: dict[tuple[int, int], str] = {}
    tooks: dict[int, str] = {}

    def request_line(asked: Asked) -> str:
        target = asked.target.decode("latin-1")
        if clean is not None:
            target = clean(target)
        return f"{_word(asked.method)} {_word(target)} HTTP/1.{asked.minor}"

    def line(
        stamp: str, client: str, asked: Asked, answered: Answered, seconds: float, note: str
    ) -> str:
        # All this comes again, and costs less to look up than to write: see "access log" in
        # benchmarks/core.
        what = asked.logged
        if what is None:
            what = asked.logged = request_line(asked)
        if client not in harmless:
            client = _word(client)
            if len(harmless) < _REMEMBERED:
                harmless.add(client)
        key = (answered.status, answered.bytes_sent)
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

    return Format(_coloured(line) if colour else line, _local_time)


def _remember(memory: dict[_Key, str], key: _Key, text: str) -> str:
    """Keep it, in the place of all others when there are too many."""
    if len(memory) >= _REMEMBERED:
        memory.clear()
    memory[key] = text
    return text


def _local_time(now: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))


_PARTS = re.compile(r"(\S+ \S+ \S+) (\S+ \S+) (\S+) (\d+)")


def _coloured(line: Callable[..., str]) -> Callable[..., str]:
    """The same line with its parts told apart, for a terminal."""

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


def _word(text: str) -> str:
    """One word for a column: a dash for nothing, escapes for what would break the line."""
    # Quick questions instead of a regex; of ASCII, what is printable begins with the space.
    if text.isascii() and text.isprintable() and " " not in text and "\\" not in text:
        return text or "-"
    return _UNSAFE_WORD.sub(_escape, text)


def _safe(text: str) -> str:
    """A value that may stand between quotes; a dash for nothing."""
    return _UNSAFE.sub(_escape, text) if text else "-"


def _escape(match: re.Match[str]) -> str:
    return '\\"' if match[0] == '"' else f"\\x{ord(match[0]):02x}"


def redactor(names: Iterable[str]) -> Clean | None:
    """What puts `[redacted]` for the values of these query parameters; None for no names."""
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


# ------------------------------------------------------------------ atoms

_Atom = Callable[[Record], object]
_NOTHING_ASKED = SimpleNamespace(method="", target=b"", minor=1, headers=())
_NOTHING_ANSWERED = SimpleNamespace(status=0, bytes_sent=0, answer_lines=())


def template_format(template: str, redact: Iterable[str] = ()) -> Format:
    """A format of gunicorn's atoms, or of those with names.

    Raises:
        UsageError: an atom is unknown, or the format cannot be filled in.
    """
    clean = redactor(redact) or _same
    used = {match[1] for match in _ATOM.finditer(template) if match[1]}
    if any(match[0] == "%" for match in _ATOM.finditer(template)):
        raise UsageError("a % begins an atom such as %(h)s; write %% for a percent sign")
    times = {name: _TIMES[name] for name in used & _TIMES.keys()}
    atoms = tuple((name, _atom(name, clean)) for name in used - _TIMES.keys())
    form = template + "\n"

    def stamp(now: float) -> dict[str, object]:
        return {name: get(now) for name, get in times.items()}

    def line(stamp: dict[str, object], *record: Any) -> str:
        values = stamp.copy()
        for name, get in atoms:
            values[name] = get(record)
        return form % values

    try:
        line(stamp(0.0), "::1", _NOTHING_ASKED, _NOTHING_ANSWERED, 0.0, "")
    except (TypeError, ValueError) as error:
        raise UsageError(f"the format cannot be filled in: {error}") from None
    return Format(line, stamp)


def _atom(name: str, clean: Clean) -> _Atom:
    if name.startswith("{"):
        inner, kind = name[1:-2], name[-1]
        if kind == "e":
            return _variable(inner, clean)
        field = _request_field(inner) if kind == "i" else _answer_field(inner)
        return _cleaned(field, clean)  # Referer, Location, and whatever else has an address
    if name == "q":  # as the environ has it: nothing for nothing
        query = _CLEANED["query"]
        return lambda record: _UNSAFE.sub(
            _escape, query(clean(record[_ASKED].target.decode("latin-1")), record)
        )
    if name in _CLEANED:
        get = _CLEANED[name]
        return lambda record: _safe(get(clean(record[_ASKED].target.decode("latin-1")), record))
    if name in ("f", "referer"):
        return _cleaned(_request_field("referer"), clean)
    if name not in _ATOMS:
        known = ", ".join([*_ATOMS, *_TIMES, *_CLEANED, "q", "f", "referer"])
        raise UsageError(
            f"%({name})s is not known; the atoms are {known}, {{name}}i, {{name}}o, {{name}}e"
        )
    return _ATOMS[name]


def _same(target: str) -> str:
    return target


def _request_field(name: str) -> _Atom:
    wanted = name.lower().encode("latin-1", "replace")
    return lambda record: _safe(_field(record, wanted))


def _cleaned(get: _Atom, clean: Clean) -> _Atom:
    return get if clean is _same else lambda record: clean(str(get(record)))


def _field(record: Record, wanted: bytes) -> str:
    return _joined(record[_ASKED], wanted)


def _joined(asked: Asked, wanted: bytes) -> str:
    """The values of one field of the request."""
    found = [value for name, value in asked.headers if name == wanted]
    return b",".join(found).decode("latin-1")


def _answer_field(name: str) -> _Atom:
    start = name.lower().encode("latin-1", "replace") + b":"

    def get(record: Record) -> str:
        lines = record[_ANSWERED].answer_lines
        found = [
            line[len(start) :].strip() for line in lines if line[: len(start)].lower() == start
        ]
        return _safe(b",".join(found).decode("latin-1"))

    return get


def _variable(name: str, clean: Clean) -> _Atom:
    """The variables of a request that can be told from the outside (CGI, RFC 3875)."""
    name = name.upper()
    if name in _VARIABLES:
        return _atom(_VARIABLES[name], clean)
    if name in ("CONTENT_TYPE", "CONTENT_LENGTH") or name.startswith("HTTP_"):
        return _cleaned(_request_field(name.removeprefix("HTTP_").replace("_", "-")), clean)
    return lambda record: "-"


def _user(record: Record) -> str:
    """The name in a Basic authorization (RFC 7617); never the password."""
    scheme, _space, credentials = _field(record, b"authorization").partition(" ")
    if scheme.lower() != "basic":
        return "-"
    try:
        name = base64.b64decode(credentials.strip(), validate=True).partition(b":")[0]
    except ValueError:
        return "-"
    return _safe(name.decode("latin-1"))


def _path(target: str, _: Record) -> str:
    return target.partition("?")[0]


def _query(target: str, _: Record) -> str:
    return target.partition("?")[2]


_CLEANED: dict[str, Callable[[str, Record], str]] = {
    "r": lambda target, record: f"{record[_ASKED].method} {target} HTTP/1.{record[_ASKED].minor}",
    # PATH_INFO, decoded; %(path)s is as sent.
    "U": lambda target, _: unquote_to_bytes(_path(target, _)).decode("latin-1"),
    "target": lambda target, _: target,
    "path": _path,
    "query": _query,
}
_ATOMS: dict[str, _Atom] = {
    "h": lambda record: _safe(record[_CLIENT]),
    "l": lambda record: "-",
    "u": _user,
    "s": lambda record: record[_ANSWERED].status,
    "m": lambda record: _safe(record[_ASKED].method),
    "H": lambda record: f"HTTP/1.{record[_ASKED].minor}",
    "b": lambda record: record[_ANSWERED].bytes_sent,
    "B": lambda record: record[_ANSWERED].bytes_sent,
    "a": _request_field("user-agent"),
    "T": lambda record: int(record[_SECONDS]),
    "M": lambda record: int(record[_SECONDS] * 1000),
    "D": lambda record: int(record[_SECONDS] * 1_000_000),
    "L": lambda record: f"{record[_SECONDS]:.6f}",
    "p": lambda _: f"<{os.getpid()}>",
}
_ATOMS |= {
    "client": _ATOMS["h"],
    "user": _user,
    "method": _ATOMS["m"],
    "protocol": _ATOMS["H"],
    "status": _ATOMS["s"],
    "bytes": _ATOMS["b"],
    "seconds": _ATOMS["L"],
    "milliseconds": lambda record: f"{record[_SECONDS] * 1000:.2f}",
    "worker": lambda _: os.getpid(),
    "host": _request_field("host"),
    "user_agent": _ATOMS["a"],
    "request_id": _request_field("x-request-id"),
    "note": lambda record: record[_NOTE] or "-",
}
_VARIABLES = {
    "REMOTE_ADDR": "h",
    "REMOTE_USER": "u",
    "REQUEST_METHOD": "m",
    "REQUEST_URI": "target",
    "RAW_URI": "target",
    "PATH_INFO": "U",
    "QUERY_STRING": "q",
    "SERVER_PROTOCOL": "H",
}


_TIMES: dict[str, Callable[[float], object]] = {
    "t": lambda now: _clf(now),
    "time": lambda now: _iso(now),
}


def _clf(now: float) -> str:
    """As the Common Log Format has it; the month not by strftime, which follows the locale."""
    local = time.localtime(now)
    month = _MONTHS[local.tm_mon - 1]
    return time.strftime(f"[%d/{month}/%Y:%H:%M:%S %z]", local)


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


# ------------------------------------------------------------------ JSON


def json_format(redact: Iterable[str] = ()) -> Format:
    """One object a line; its keys are listed in docs/logging.md and only ever added to."""
    clean = redactor(redact) or _same

    def stamp(now: float) -> str:
        return (
            f'{{"time":"{_iso(now)}","level":"info","logger":"bare_serve.access"'
            f',"worker":{os.getpid()},"client":'
        )

    def line(
        stamp: str, client: str, asked: Asked, answered: Answered, seconds: float, note: str
    ) -> str:
        path, _mark, query = clean(asked.target.decode("latin-1")).partition("?")
        request_id = _joined(asked, b"x-request-id")
        noted = f',"note":{_quoted(note)}' if note else ""
        return (
            f"{stamp}{_quoted(client) if client else 'null'}"
            f',"method":{_quoted(asked.method)},"path":{_quoted(path)},"query":{_quoted(query)}'
            f',"protocol":"HTTP/1.{asked.minor}","status":{answered.status}'
            f',"bytes":{answered.bytes_sent},"duration":{seconds:.6f}'
            f',"request_id":{_quoted(request_id) if request_id else "null"}{noted}}}\n'
        )

    return Format(line, stamp)


def _iso(now: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
