"""Secrets in what is shown: they are replaced by how long they are, before a record exists.

What lives here: which names stand for secrets, and where values of such names are found: fields of
HTTP, queries, forms, JSON, hidden inputs of HTML, addresses with a password. What must not: what is
shown besides (show.py).

A name is taken for a secret's by what it contains, as frameworks do it in their error pages: rather
one harmless value too many is hidden.
"""

from __future__ import annotations

import json
import re
from typing import Final
from urllib.parse import unquote_plus

_SECRET = re.compile(
    r"pass|pwd|secret|token|key|session|sess\b|sid\b|csrf|xsrf|credential|signature|cookie|dsn\b"
    r"|auth(?!ors?\b)|\bsig\b|jwt|bearer"
)
_HARMLESS = frozenset(("sec-websocket-key", "sec-websocket-accept", "www-authenticate"))

# Where a value begins and ends: `name=value`, in queries, forms, cookies and lists of parameters.
_PAIR = re.compile(
    r"""([^\s&;?#=,"'<>(){}\[\]]{1,200})=("(?:[^"\\]|\\.)*"?|[^\s&;"'<>]*)""", re.DOTALL
)
_USER = re.compile(r"(?<=://)[^/@\s?#]*:[^/@\s?#]*(?=@)")
_JSON_NAME = re.compile(r'"((?:[^"\\]|\\.){1,200})"\s*:\s*', re.DOTALL)
_INPUT = re.compile(r"<(?:input|meta)\b[^>]*>?", re.IGNORECASE)
_INPUT_NAME = re.compile(r"""\b(?:name|id)\s*=\s*["']?([^\s"'>]+)""", re.IGNORECASE)
_INPUT_VALUE = re.compile(
    r"""(\b(?:value|content)\s*=\s*)("[^"]*"?|'[^']*'?|[^\s>]+)""", re.IGNORECASE
)
_PART = re.compile(
    r'(content-disposition:[^\r\n]*?\bname="?([^";\r\n]*)"?[^\r\n]*(?:\r?\n[^\r\n]+)*\r?\n\r?\n)'
    r"(.*?)(?=\r?\n--|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_SCHEMES = re.compile(r"\b(Bearer|Basic|Digest|Token)\s+[\w.~+/=-]{4,}")
_LONGEST_PROTOCOL: Final = 32


def is_secret(name: str) -> bool:
    """Return whether a value of this name is to be hidden."""
    lower = name.lower()
    if lower in _HARMLESS:
        return False
    if "%" in lower:
        lower = unquote_plus(lower)
    plain = lower.replace("\0", "")
    return _SECRET.search(plain) is not None or _SECRET.search(plain.replace("_", " ")) is not None


def hidden(value: str) -> str:
    """Return what stands in the place of a value."""
    count = len(value)
    return f"<{count} character{'s' * (count != 1)} hidden>" if count else ""


def field_value(name: str, value: str) -> str:
    """Return the value of a field of HTTP (RFC 9110, 5), as it may be shown."""
    if is_secret(name):
        return hidden(value)
    if name.lower() == "sec-websocket-protocol":  # the way in which browsers send tokens
        offered = [item.strip() for item in value.split(",")]
        secret = any(map(is_secret, offered))
        return ", ".join(
            hidden(item) if secret or len(item) > _LONGEST_PROTOCOL else item for item in offered
        )
    return target(value)


def target(value: str) -> str:
    """Return a target of HTTP or an address: its query, and the rest as any text."""
    before, mark, asked = value.partition("?")
    return f"{text(before)}{mark}{query(asked)}" if mark else text(value)


def query(value: str) -> str:
    """Return a query, or a form that is written like one (application/x-www-form-urlencoded).

    A value goes on to the next `&`, whatever is in it.
    """
    return "&".join(map(_query_pair, value.split("&")))


def _query_pair(pair: str) -> str:
    name, equals, value = pair.partition("=")
    if not equals:
        return text(pair)
    return f"{name}={hidden(value)}" if is_secret(name) else f"{name}={text(value)}"


def text(value: str) -> str:
    """Return a text of any kind, with what is known to be secret in it hidden.

    Looked for are `name=value`, members of JSON, parts of multipart forms, hidden inputs,
    `Bearer ...`, and the password in an address. Part of a text will do: a value that does not end
    is hidden to the end.
    """
    if "<" in value:
        value = _INPUT.sub(_hide_input, value)
    if "isposition:" in value.lower():
        value = _PART.sub(_hide_part, value)
    if '"' in value:
        value = _hide_members(value)
    if "=" in value:
        value = _PAIR.sub(_hide_pair, value)
    if "@" in value:
        value = _USER.sub(lambda found: hidden(found[0]), value)
    return _SCHEMES.sub(lambda found: f"{found[1]} {hidden(found[0].split(None, 1)[1])}", value)


def _hide_pair(found: re.Match[str]) -> str:
    name, value = found.groups()
    if value.startswith("<") or not is_secret(name):
        return found[0]
    return f"{name}={hidden(value)}"


def _hide_part(found: re.Match[str]) -> str:
    head, name, value = found.groups()
    return f"{head}{hidden(value)}" if is_secret(name) else found[0]


def _hide_input(found: re.Match[str]) -> str:
    tag = found[0]
    name = _INPUT_NAME.search(tag)
    if name is None or not is_secret(name[1]):
        return tag
    return _INPUT_VALUE.sub(lambda value: value[1] + hidden(value[2].strip("\"'")), tag)


def _hide_members(value: str) -> str:
    """Hide values of JSON whose names are those of secrets; whole objects and lists, too."""
    made: list[str] = []
    at = 0
    while (found := _JSON_NAME.search(value, at)) is not None:
        start = found.end()
        if not is_secret(_unescaped(found[1])):
            # Not past the value: it may hold further members, and begin with a quote.
            made.append(value[at : start - 1])
            at = start - 1
            continue
        end = _end_of_value(value, start)
        made += (value[at:start], hidden(value[start:end].strip('"')))
        at = end
    made.append(value[at:])
    return "".join(made)


def _unescaped(name: str) -> str:
    try:
        return str(json.loads(f'"{name}"', strict=False))
    except ValueError:
        return name


def _end_of_value(value: str, start: int) -> int:
    """Return where the value of JSON that begins at `start` ends; the end of all if it does not."""
    depth = 0
    at, end = start, len(value)
    while at < end:
        char = value[at]
        if char == '"':
            at = _end_of_string(value, at)
            if not depth:
                return at
            continue
        if char in "[{":
            depth += 1
        elif char in "]}":
            depth -= 1
            if depth <= 0:
                return at + (depth == 0)
        elif not depth and char in ",\r\n":
            return at
        at += 1
    return end


def _end_of_string(value: str, start: int) -> int:
    at = start + 1
    while at < len(value):
        if value[at] == "\\":
            at += 2
        elif value[at] == '"':
            return at + 1
        else:
            at += 1
    return len(value)
