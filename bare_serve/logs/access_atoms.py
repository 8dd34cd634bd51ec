"""Access lines that the user makes of gunicorn's atoms, or of those with names.

What lives here: a template in, a Format out. A format is compiled once; of a request only the atoms
that it names are computed.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote_to_bytes

from bare_serve.errors import UsageError
from bare_serve.http.date import MONTHS
from bare_serve.logs.access_format import (
    UNSAFE,
    Clean,
    Format,
    Record,
    escape,
    iso_time,
    joined,
    redactor,
    safe,
    same,
)
from bare_serve.logs.request_ids import request_id_of, trace_id_of
from bare_serve.logs.zone import local_time

_ATOM = re.compile(r"%\(((?:\{[^{}]*\}[ioe])|[A-Za-z_]+)\)[-+ 0#]*\d*(?:\.\d+)?[sd]|%%|%")

NAMED = {
    "text": "",
    "common": '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s',
    "combined": '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"',
}

_Atom = Callable[[Record], object]
_NOTHING_ASKED = SimpleNamespace(method="", target=b"", version="1.1", headers=())
_NOTHING_ANSWERED = SimpleNamespace(status=0, bytes_sent=0, answer_lines=())


def template_format(template: str, redact: Iterable[str] = ()) -> Format:
    """Return a format of gunicorn's atoms, or of those with names.

    Raises:
        UsageError: an atom is unknown, or the format cannot be filled in.
    """
    clean = redactor(redact) or same
    used = {match[1] for match in _ATOM.finditer(template) if match[1]}
    if any(match[0] == "%" for match in _ATOM.finditer(template)):
        raise UsageError("a % begins an atom such as %(h)s; write %% for a percent sign")
    times = {name: _TIMES[name] for name in used & _TIMES.keys()}
    atoms = tuple((name, _atom(name, clean)) for name in used - _TIMES.keys())
    form = template + "\n"

    def stamp(now: float) -> dict[str, object]:
        return {name: get(now) for name, get in times.items()}

    def line(stamp: dict[str, object], *parts: Any) -> str:
        record = Record(*parts)
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
        return lambda record: UNSAFE.sub(
            escape, query(clean(record.request.target.decode("latin-1")), record)
        )
    if name in _CLEANED:
        get = _CLEANED[name]
        return lambda record: safe(get(clean(record.request.target.decode("latin-1")), record))
    if name in ("f", "referer"):
        return _cleaned(_request_field("referer"), clean)
    if name not in _ATOMS:
        known = ", ".join([*_ATOMS, *_TIMES, *_CLEANED, "q", "f", "referer"])
        raise UsageError(
            f"%({name})s is not known; the atoms are {known}, {{name}}i, {{name}}o, {{name}}e"
        )
    return _ATOMS[name]


def _request_field(name: str) -> _Atom:
    wanted = name.lower().encode("latin-1", "replace")
    return lambda record: safe(_field(record, wanted))


def _cleaned(get: _Atom, clean: Clean) -> _Atom:
    return get if clean is same else lambda record: clean(str(get(record)))


def _field(record: Record, wanted: bytes) -> str:
    return joined(record.request, wanted)


def _answer_field(name: str) -> _Atom:
    start = name.lower().encode("latin-1", "replace") + b":"

    def get(record: Record) -> str:
        lines = record.response.answer_lines
        found = [
            line[len(start) :].strip() for line in lines if line[: len(start)].lower() == start
        ]
        return safe(b",".join(found).decode("latin-1"))

    return get


def _variable(name: str, clean: Clean) -> _Atom:
    """Return an atom for a variable of a request (CGI, RFC 3875)."""
    name = name.upper()
    if name in _VARIABLES:
        return _atom(_VARIABLES[name], clean)
    if name in ("CONTENT_TYPE", "CONTENT_LENGTH") or name.startswith("HTTP_"):
        return _cleaned(_request_field(name.removeprefix("HTTP_").replace("_", "-")), clean)
    return lambda record: "-"


def _user(record: Record) -> str:
    """Return the name in a Basic authorization (RFC 7617); never the password."""
    scheme, _space, credentials = _field(record, b"authorization").partition(" ")
    if scheme.lower() != "basic":
        return "-"
    try:
        name = base64.b64decode(credentials.strip(), validate=True).partition(b":")[0]
    except ValueError:
        return "-"
    return safe(name.decode("latin-1"))


def _path(target: str, _: Record) -> str:
    return target.partition("?")[0]


def _query(target: str, _: Record) -> str:
    return target.partition("?")[2]


_CLEANED: dict[str, Callable[[str, Record], str]] = {
    "r": lambda target, record: f"{record.request.method} {target} HTTP/{record.request.version}",
    # PATH_INFO, decoded; %(path)s is as sent.
    "U": lambda target, _: unquote_to_bytes(_path(target, _)).decode("latin-1"),
    "target": lambda target, _: target,
    "path": _path,
    "query": _query,
}
_ATOMS: dict[str, _Atom] = {
    "h": lambda record: safe(record.client),
    "l": lambda record: "-",
    "u": _user,
    "s": lambda record: record.response.status,
    "m": lambda record: safe(record.request.method),
    "H": lambda record: f"HTTP/{record.request.version}",
    "b": lambda record: record.response.bytes_sent,
    "B": lambda record: record.response.bytes_sent,
    "a": _request_field("user-agent"),
    "T": lambda record: int(record.seconds),
    "M": lambda record: int(record.seconds * 1000),
    "D": lambda record: int(record.seconds * 1_000_000),
    "L": lambda record: f"{record.seconds:.6f}",
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
    "milliseconds": lambda record: f"{record.seconds * 1000:.2f}",
    "worker": lambda _: os.getpid(),
    "host": _request_field("host"),
    "user_agent": _ATOMS["a"],
    "request_id": lambda record: safe(request_id_of(record.request, record.response)),
    "trace_id": lambda record: trace_id_of(record.request) or "-",
    "note": lambda record: record.note or "-",
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
    "time": lambda now: iso_time(now),
}


def _clf(now: float) -> str:
    """As the Common Log Format has it."""
    t, offset = local_time(now)
    hours, minutes = divmod(abs(offset) // 60, 60)
    return (
        f"[{t.tm_mday:02}/{MONTHS[t.tm_mon - 1]}/{t.tm_year:04}"
        f":{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}"
        f" {'-' if offset < 0 else '+'}{hours:02}{minutes:02}]"
    )
