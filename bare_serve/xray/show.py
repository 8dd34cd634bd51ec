"""Values as steps show them: bytes, heads, environ and scope, fields; without their secrets.

What lives here: from a value to a text in ASCII that no client can move a cursor with. What must
not: what is secret (redact.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

from bare_serve.xray import redact

SHOWN: Final = 80
"""Bytes of a body."""
SHOWN_IN_FULL: Final = 2000
MOST_HEAD: Final = 8192
"""Bytes of a head."""
_LOOKED_AT: Final = 16384
"""Bytes of a body in which secrets are looked for: those shown are among them."""

_REQUEST: Final = re.compile(r"[A-Z]{1,20} [!-~]+ HTTP/\d\.\d")
_FIELD: Final = re.compile(r"[\w!#$%&'*+.^`|~-]{1,64}:", re.ASCII)
_PHRASES: Final = frozenset(("", *(each.phrase for each in HTTPStatus)))
_STRUCTURED = ("json", "form", "xml")
_ENVIRON: Final = (
    "REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "CONTENT_TYPE", "CONTENT_LENGTH",
    "HTTP_HOST", "HTTP_COOKIE", "HTTP_AUTHORIZATION",
)  # fmt: skip
_SCOPE: Final = (
    "type", "http_version", "method", "scheme", "path", "raw_path", "query_string", "root_path",
    "subprotocols", "client", "server",
)  # fmt: skip


def printable(text: str) -> str:
    """Return a text in ASCII; what could end a line or move a cursor is escaped."""
    return ascii(text)[1:-1].replace("\\'", "'")


def words(text: str) -> str:
    """Return a text that may hold a target, such as the message of an error."""
    if redact.shows_only_harmless():
        return printable(redact.said(text))
    return printable(redact.target(text))


def word(text: str) -> str:
    """Return a word of the application's that should be one of an interface's."""
    return printable(text) if redact.is_known(text) else redact.hidden(text)


def status(text: str) -> str:
    """Return a status with its reason phrase."""
    if redact.shows_only_harmless() and text[4:] not in _PHRASES:
        return f"{printable(text[:3])} {redact.hidden(text[4:])}"
    return printable(redact.target(text))


def target(raw: bytes) -> str:
    """Return the target of a request."""
    return printable(redact.target(raw[:MOST_HEAD].decode("latin-1")))


def pairs(fields: Iterable[tuple[Any, Any]]) -> str:
    """Return names and values of fields, in a row."""
    shown = []
    for name, value in fields:
        name, value = _text(name), _text(value)
        shown.append(f"{_name(name)}: {printable(redact.field_value(name, value))}")
    return "  ".join(shown)


def _name(name: str) -> str:
    """Return the name of a field; of what is no name only the length, where that is asked for."""
    if redact.shows_only_harmless() and _FIELD.fullmatch(f"{name}:") is None:
        return redact.hidden(name)
    return printable(name)


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def head(raw: bytes) -> str:
    """Return a head, of a request or an answer, as it was on the wire: line by line."""
    text = raw[:MOST_HEAD].decode("latin-1")
    lines = text.split("\r\n")
    shown = [f"{_first_line(lines[0])}\\r\\n"]
    shown += [f"{_line(line)}\\r\\n" for line in lines[1:-1]]
    if lines[-1]:
        shown.append(_line(lines[-1]))
    return "\n".join([shown[0], "  ".join(shown[1:])]) if len(shown) > 1 else shown[0]


def refused(raw: bytes, limit: int = 1024) -> str:
    """Return what could not be read as a head: line by line, as far as it holds no secret."""
    cut = raw[:limit].decode("latin-1")
    shown: list[str] = []
    hides = False
    if redact.shows_only_harmless():
        return _refused_strictly(cut, len(raw))
    for number, line in enumerate(cut.splitlines(keepends=True)):
        body = line.rstrip("\r\n")
        end = printable(line[len(body) :])
        name, colon, _ = body.partition(":")
        if number and body[:1] in (" ", "\t") and hides:
            shown.append(redact.hidden(body) + end)
            continue
        hides = redact.is_secret(name if colon else body) if number else False
        if hides and not colon:
            shown.append(redact.hidden(body) + end)
        else:
            shown.append((_line(body) if number else _first_line(body)) + end)
    more = f"  ... {len(raw) - limit} B more" if len(raw) > limit else ""
    return "  ".join(shown) + more


def _refused_strictly(cut: str, size: int) -> str:
    """Return of a head that could not be read the fields that could, and lengths of the rest."""
    first, *lines = cut.split("\r\n")
    shown = [_first_line(first) if _REQUEST.fullmatch(first) else redact.hidden(first)]
    for line in lines:
        is_field = _FIELD.match(line) is not None
        shown.append(_line(line) if is_field else redact.hidden(line))
    return "  ".join(filter(None, shown)) + f"  ({size} B in all)"


def _first_line(line: str) -> str:
    """Return a request line or a status line; a query goes on to the version behind it."""
    rest, space, version = line.rpartition(" ")
    if space and version.startswith("HTTP/"):
        return f"{printable(redact.target(rest))} {printable(version)}"
    if line.startswith("HTTP/"):
        version, _, rest = line.partition(" ")
        return f"{printable(version)} {status(rest)}"
    return printable(redact.target(line))


def _line(line: str) -> str:
    name, colon, value = line.partition(":")
    if not colon:
        return redact.hidden(line) if redact.shows_only_harmless() else printable(redact.text(line))
    space = " " if value.startswith(" ") else ""
    return f"{_name(name)}:{space}{printable(redact.field_value(name.strip(), value.strip()))}"


class Body:
    """The pieces of one body, as they may be shown."""

    def __init__(self, kind: str, encoding: str, *, full: bool, wanted: bool) -> None:
        """Show a body of this Content-Type and Content-Encoding, if it is `wanted`."""
        self._kind = kind.lower()
        self._coded = encoding.lower() not in ("", "identity")
        self._limit = SHOWN_IN_FULL if full else SHOWN
        self._wanted = wanted
        self._pieces = 0
        self._line_ended = True

    def piece(self, data: bytes) -> str:
        """Return the beginning of a piece; nothing if it is not to be shown.

        A piece that may go on with a secret of the piece before is not shown.
        """
        if not self._wanted or not data:
            return ""
        first = not self._pieces
        self._pieces += 1
        if self._coded:
            return "compressed"
        if b"\0" in data[:_LOOKED_AT]:
            return "binary"
        if first and data[:64].lstrip()[:1] in (b"{", b"[", b"<") and not self._is_structured:
            self._kind += " json"  # whatever it is called
        shown = first or (self._line_ended and not self._is_structured)
        self._line_ended = data.endswith(b"\n")
        if not shown:
            return "not shown: it goes on with the piece before"
        return content(data, self._limit, is_query="urlencoded" in self._kind)

    @property
    def _is_structured(self) -> bool:
        return any(kind in self._kind for kind in _STRUCTURED)


def content(data: bytes, limit: int, *, is_query: bool = False) -> str:
    """Return the beginning of a piece of body as a literal of Python, without secrets."""
    hide = redact.form if is_query else redact.text
    text = hide(data[:_LOOKED_AT].decode("latin-1"))
    return f"b'{printable(text[:limit])}'" + (" ..." if len(text) > limit else "")


def message(value: str | bytes, limit: int, *, wanted: bool) -> str:
    """Return the beginning of a WebSocket's message."""
    kind = "text" if isinstance(value, str) else "bytes"
    size = f"{len(value)} {'characters' if kind == 'text' else 'B'}"
    if not wanted:
        return f"{kind}  {size}"
    if isinstance(value, bytes):
        shown = "binary" if b"\0" in value[:_LOOKED_AT] else content(value, limit)
    else:
        text = redact.text(value[:_LOOKED_AT])
        shown = f"'{printable(text[:limit])}'" + (" ..." if len(text) > limit else "")
    return f"{kind}  {size}  {shown}"


def environ(values: Mapping[str, Any], *, full: bool) -> str:
    """Return an environ: the keys that matter most, or all of them."""
    chosen: Iterable[str] = sorted(values) if full else [key for key in _ENVIRON if key in values]
    shown = [f"{printable(key)} {_value(key, values[key])}" for key in chosen]
    if not full:
        shown.append(f"wsgi.input {type(values.get('wsgi.input')).__name__}")
    hint = "" if full else "   (--xray=full: all)"
    return f"{len(values)} keys{hint}\n" + _rows(shown)


def scope(values: Mapping[str, Any], *, full: bool) -> str:
    """Return a scope: its headers by their number, or one by one."""
    shown = [f"{key} {_value(key, values[key])}" for key in _SCOPE if key in values]
    headers = values.get("headers") or ()
    shown.append(f"headers {len(headers)}")
    shown.append(f"state {{{', '.join(printable(str(key)) for key in values.get('state') or ())}}}")
    shown.append("extensions " + ", ".join(printable(str(each)) for each in values["extensions"]))
    text = _rows(shown)
    return f"{text}\n{pairs(headers)}" if full and headers else text


def _value(key: str, value: Any) -> str:
    """Return the value of a key; of an object of no simple type, the name of its type."""
    if isinstance(value, bytes):
        hide = redact.query if key == "query_string" else redact.target
        return f"b'{printable(hide(value.decode('latin-1')))}'"
    name = key.removeprefix("HTTP_").replace("_", "-")
    is_harmless = not key.startswith("HTTP_") and name.lower() in redact.HARMLESS_KEYS
    if isinstance(value, str):
        if key == "QUERY_STRING":
            return f"'{printable(redact.query(value))}'"
        if is_harmless or key in ("REQUEST_URI", "RAW_URI"):
            return f"'{printable(redact.target(value))}'"
        return f"'{printable(redact.field_value(name, value))}'"
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    if isinstance(value, (tuple, list)) and all(isinstance(each, (str, int)) for each in value):
        listed = ", ".join(map(str, value))
        if key in ("client", "server") or name.startswith("wsgi."):
            return printable(listed)
        return printable(redact.field_value("sec-websocket-protocol", listed))
    return type(value).__name__


def _rows(shown: list[str], width: int = 110) -> str:
    """Return entries in lines of about this many characters."""
    lines, line = [], ""
    for entry in shown:
        if line and len(line) + len(entry) > width:
            lines.append(line)
            line = ""
        line = f"{line}  {entry}" if line else entry
    return "\n".join([*lines, line])


def size(count: int, pieces: int = 1) -> str:
    """Return a number of bytes."""
    return f"{count} B" if pieces == 1 else f"{count} B in {pieces} pieces"


def ordinal(number: int) -> str:
    """Return "1st", "2nd", "11th"."""
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"
