"""What the text of one setting may say, and the value it stands for.

A Kind reads a raw value, which is text (command line, environment) or already typed (a TOML
file, a keyword argument), and says in words what it accepts, so that every refusal reads the
same wherever the value came from: "--workers: 'x' is not a whole number from 0 up".
`parse` raises ValueError for "not what I accept", or UsageError when it knows a better reason.

Knows no option by name: config/settings.py has the table of those.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from bare_serve.errors import UsageError
from bare_serve.http.grammar import TCHAR
from bare_serve.logs.access_atoms import NAMED, template_format
from bare_serve.logs.sinks import SYSLOG
from bare_serve.net.bind_address import parse_address, with_port
from bare_serve.net.forwarded import parse_trust

_DURATION = re.compile(
    r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(?:(ms)|(s)(?:ec(?:ond)?s?)?|(m)(?:in(?:ute)?s?)?|(h)(?:ours?)?)?",
    re.ASCII,
)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZE = re.compile(r"([0-9]{1,18})\s*(b|[kmg]i?b)?", re.ASCII | re.IGNORECASE)
# As in IEC 80000-13: kB, MB and GB are powers of ten, KiB, MiB and GiB powers of two.
_BYTES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}
_BYTES |= {"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
_YES_NO = {"1": True, "true": True, "yes": True, "on": True}
_YES_NO |= {"0": False, "false": False, "no": False, "off": False}
_TOKEN = re.compile(f"[{TCHAR.decode()}]+")
# Written by the server for each answer; a second copy would break the message's framing.
_OWN_HEADERS = (
    *("connection", "content-length", "date", "keep-alive"),
    *("te", "trailer", "transfer-encoding", "upgrade"),
)


class Kind(NamedTuple):
    """One kind of value: how it is described, read and shown."""

    accepts: str
    parse: Callable[[object], Any]
    show: Callable[[Any], str] = str
    metavar: str = "TEXT"
    switch: bool = False
    """A flag that takes no value on the command line."""
    separator: str = ""
    """Set for a list: the option may be repeated, and this splits it in the environment."""
    secret: bool = False
    """Never shown, wherever values are."""
    texts: bool = False
    """A list that is shown as texts, since its values are records."""


def read(kind: Kind, raw: object, where: str) -> Any:
    """Return the value that `raw` stands for; the UsageError otherwise starts with `where`."""
    try:
        return kind.parse(raw)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
    except ValueError:
        shown = "what was given" if kind.secret else repr(raw)
        shown = shown if len(shown) <= 100 else f"{shown[:97]}..."
        raise UsageError(f"{where}: {shown} is not {kind.accepts}") from None


def _text(raw: object) -> str:
    if not isinstance(raw, str) or not raw.strip() or not raw.isprintable():
        raise ValueError
    return raw


TEXT = Kind("a text of printable characters that is more than blanks", _text)
HIDDEN = "(hidden)"
SECRET = Kind(
    "a text of printable characters that is more than blanks", _text, lambda _: HIDDEN, secret=True
)


def _xray(raw: object) -> str:
    if isinstance(raw, bool):
        return "steps" if raw else "off"
    text = raw.strip().lower() if isinstance(raw, str) else ""
    if text in _YES_NO:
        return "steps" if _YES_NO[text] else "off"
    if text not in ("steps", "full"):
        raise ValueError
    return text


XRAY = Kind("steps, full or off", _xray, metavar="[=full]")
_XRAY_FILTER = re.compile(r"(?:[A-Za-z]{1,32} +)?[/*][!-~]*")


def _xray_filter(raw: object) -> str:
    if not isinstance(raw, str) or _XRAY_FILTER.fullmatch(raw.strip()) is None:
        raise ValueError
    return raw.strip()


XRAY_FILTER = Kind(
    "a path with * and ?, or a method and a path, such as 'GET /orders*'",
    _xray_filter,
    metavar="PATTERN",
)


def whole(lowest: int, highest: int | None = None, metavar: str = "N") -> Kind:
    """Return the kind of whole numbers from `lowest` to `highest`, both included."""

    def parse(raw: object) -> int:
        if isinstance(raw, str) and re.fullmatch(r"-?[0-9]{1,18}", raw.strip(), re.ASCII):
            raw = int(raw)
        if not isinstance(raw, int) or isinstance(raw, bool) or raw < lowest:
            raise ValueError
        if highest is not None and raw > highest:
            raise ValueError
        return raw

    upper = "up" if highest is None else f"to {highest}"
    return Kind(f"a whole number from {lowest} {upper}", parse, metavar=metavar)


def _count_of_workers(raw: object) -> int:
    """Read a number, or `auto`: as many as there are cores for this process."""
    if isinstance(raw, str) and raw.strip().lower() == "auto":
        from bare_serve.system import cores  # few ask

        return cores.usable()
    number: int = _WORKERS.parse(raw)
    return number


_WORKERS = whole(0, 256)
WORKERS = Kind(f"{_WORKERS.accepts}, or auto", _count_of_workers, repr, "N|auto")


def duration(*, off: float | None = 0.0) -> Kind:
    """Return the kind of lengths of time, in seconds; `off` stands for that many, if it may."""

    def parse(raw: object) -> float:
        if isinstance(raw, (int, float)) and not isinstance(raw, bool):
            raw = f"{raw:.9f}"
        if not isinstance(raw, str):
            raise ValueError
        text = raw.strip().lower()
        if off is not None and text == "off":
            return off
        match = _DURATION.fullmatch(text)
        if match is None:
            raise ValueError
        unit = next(filter(None, match.groups()[1:]), "s")
        return round(float(match[1]) * _SECONDS[unit], 9)

    def show(value: float) -> str:
        if value == off:
            return "off"
        return f"{value * 1000:g}ms" if 0 < value < 1 else f"{value:g}s"

    accepts = "a duration; write seconds (10 or 1.5), 500ms, 2m, 5min or 1h"
    return Kind(accepts + ("" if off is None else ", or off"), parse, show, "TIME")


def size(lowest: int) -> Kind:
    """Return the kind of numbers of bytes, from `lowest` up."""

    def parse(raw: object) -> int:
        if isinstance(raw, int) and not isinstance(raw, bool):
            raw = str(raw)
        match = _SIZE.fullmatch(raw.strip()) if isinstance(raw, str) else None
        if match is None:
            raise ValueError
        value = int(match[1]) * _BYTES[(match[2] or "b").lower()]
        if value < lowest:
            raise ValueError
        return value

    def show(value: int) -> str:
        for name, unit in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
            if value >= unit and value % unit == 0:
                return f"{value // unit}{name}"
        return str(value)

    least = f" of at least {lowest}" if lowest else ""
    return Kind(f"a size{least}; write bytes (4096), 64KiB, 1MiB or 1GB", parse, show, "SIZE")


def choice(*names: str, metavar: str = "") -> Kind:
    """Return the kind that is one of `names`."""

    def parse(raw: object) -> str:
        if not isinstance(raw, str) or raw.strip().lower() not in names:
            raise ValueError
        return raw.strip().lower()

    return Kind(f"one of {', '.join(names)}", parse, metavar=metavar or "|".join(names))


def _switch(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    if not isinstance(raw, str) or raw.strip().lower() not in _YES_NO:
        raise ValueError
    return _YES_NO[raw.strip().lower()]


SWITCH = Kind(
    "yes or no; write 1, true, yes, on, 0, false, no or off",
    _switch,
    lambda value: "yes" if value else "no",
    switch=True,
)


def several(one: Kind, separator: str, *, anywhere: bool = False) -> Kind:
    """Return the kind of lists of `one`; the environment has them apart by `separator`.

    `anywhere`: and so has each entry of a list, since no value can contain it.
    """

    def parse(raw: object) -> tuple[Any, ...]:
        if isinstance(raw, str):
            raw = [part.strip() for part in re.split(separator, raw) if part.strip()]
        if not isinstance(raw, (list, tuple)):
            raise ValueError
        if anywhere and all(isinstance(part, str) for part in raw):
            raw = [part for entry in raw for part in re.split(separator, entry) if part]
        return tuple(_each(one, part) for part in raw)

    def show(values: tuple[Any, ...]) -> str:
        return ", ".join(one.show(value) for value in values)

    accepts = f"a list of texts, each {one.accepts}"
    return Kind(accepts, parse, show, one.metavar, False, separator, texts=one.texts)


def _each(one: Kind, raw: object) -> Any:
    try:
        return one.parse(raw)
    except ValueError:
        raise UsageError(f"{raw!r} is not {one.accepts}") from None


def _address(raw: object) -> str:
    text = _text(raw).strip()
    parse_address(text)
    return text


def _log_file(raw: object) -> str:
    """`-` for standard output, `off`, or a path."""
    if isinstance(raw, (bool, str)) and str(raw).strip().lower() in _YES_NO:
        return "-" if _switch(str(raw)) else "off"
    text = _text(raw).strip()
    if text.startswith(SYSLOG):
        from bare_serve.logs.syslog import parse_syslog  # few have one

        parse_syslog(text)
    return text


LOG_FILE = Kind(
    "a file, - for standard output, syslog: or off", _log_file, metavar="FILE|-|syslog:|off"
)
FILE = Kind("a file, or -", lambda raw: _text(raw).strip(), metavar="FILE|-")


def _access_format(raw: object) -> str:
    text = _text(raw)
    if text not in NAMED:
        if "%(" not in text:
            raise ValueError
        template_format(text)
    return text


ACCESS_FORMAT = Kind(
    f"{', '.join(NAMED)} or a line of atoms such as %(h)s", _access_format, metavar="FORMAT"
)


ADDRESS = Kind("an address", _address, metavar="ADDR")


def _place(raw: object) -> str:
    """Read an address, or a host alone, which takes the port of --port."""
    text = _text(raw).strip()
    parse_address(with_port(text, 0))
    return text


PLACE = Kind("an address", _place, metavar="ADDR")


def _host(raw: object) -> str:
    text = _text(raw).strip().lower()
    if not re.fullmatch(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]", text):
        raise ValueError
    return text


HOST = Kind("a host without scheme and port, such as ops.example.com", _host, metavar="HOST")

_REQUIREMENTS = ("none", "optional", "required")


def _cert_reqs(raw: object) -> str:
    """Read it also from the numbers of Python's ssl, which other servers take."""
    text = str(raw).strip().lower()
    if text.isdigit() and int(text) < len(_REQUIREMENTS) and not isinstance(raw, bool):
        text = _REQUIREMENTS[int(text)]
    if text not in _REQUIREMENTS:
        raise ValueError
    return text


CERT_REQS = Kind("one of none, optional, required", _cert_reqs, metavar="none|optional|required")


def _proxy(raw: object) -> str:
    text = _text(raw).strip()
    parse_trust([text])
    return text


PROXY = Kind("an address, a network, unix or *", _proxy, metavar="ADDR")


def _header(raw: object) -> tuple[str, str]:
    if isinstance(raw, str):
        name, colon, value = raw.partition(":")
    elif isinstance(raw, (list, tuple)) and len(raw) == 2 and all(isinstance(x, str) for x in raw):
        (name, value), colon = raw, ":"
    else:
        raise ValueError
    value = value.strip(" \t")
    if not colon or not _TOKEN.fullmatch(name):
        raise ValueError
    # RFC 9110 5.5: visible characters, spaces, tabs and, of old, Latin-1.
    if not re.fullmatch(r"[\t\x20-\x7e\x80-\xff]*", value):
        raise UsageError(f"the value of header {name!r} has characters that HTTP does not allow")
    if name.lower() in _OWN_HEADERS:
        raise UsageError(f"header {name!r} is written by the server itself for each answer")
    return name, value


HEADER = Kind("a header; write 'Name: value'", _header, ": ".join, "NAME:VALUE")


def _octal(raw: object) -> int:
    # A number of TOML or Python is decimal, and 22 for 022 would go unnoticed.
    if not isinstance(raw, str) or not re.fullmatch(r"(0o)?[0-7]{1,4}", raw.strip(), re.ASCII):
        raise ValueError
    return int(raw.strip().removeprefix("0o"), 8)


OCTAL = Kind(
    "a mode; write it as text in octal digits, such as 660", _octal, "{:03o}".format, "MODE"
)


def _directory(raw: object) -> Path:
    text = os.fspath(raw) if isinstance(raw, (str, Path)) else None
    if not text or "\0" in text:
        raise ValueError
    try:
        os.listdir(text)
        return Path(os.path.realpath(text))
    except OSError as error:
        raise UsageError(f"cannot read the directory {text!r}: {error.strerror}") from None


DIRECTORY = Kind("a directory", _directory, metavar="DIR")


def _root_path(raw: object) -> str:
    if raw == "" or raw == "/":
        return ""
    if not isinstance(raw, str) or not raw.startswith("/") or not raw.isprintable():
        raise ValueError
    if any(character in raw for character in " ?#"):
        raise ValueError
    return raw.rstrip("/")


ROOT_PATH = Kind("a path that starts with /, such as /api", _root_path, metavar="PATH")
