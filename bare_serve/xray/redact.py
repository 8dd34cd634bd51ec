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
from urllib.parse import unquote, unquote_plus

_SECRET = re.compile(
    r"pass|pwd|secret|token|key|session|sess\b|sid\b|csrf|xsrf|credential|signature|cookie|dsn\b"
    r"|auth(?!ors?\b)|\bsig\b|jwt|bearer"
)
_HARMLESS = frozenset(("sec-websocket-key", "sec-websocket-accept", "www-authenticate"))

# Clients choose what these are put to, and a request waits for it: the time of each is to grow with
# the length of the text, and not with a power of it.

# Where a value begins and ends: `name=value`, in queries, forms, cookies and lists of parameters.
_PAIR = re.compile(
    r"""(?<![^\s&;?#=,"'<>(){}\[\]])([^\s&;?#=,"'<>(){}\[\]]++)=("(?:[^"\\]|\\.)*+"?|[^\s&;"'<>]*+)""",
    re.DOTALL,
)
_USER = re.compile(r"(?<=://)[^/@\s?#:]*:[^/@\s?#]*(?=@)")
_USERINFO = re.compile(r"(?:(?<=//)|(?<!\S))[^\s/?#]+(?=@)")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_JSON_NAME = re.compile(r'"((?:[^"\\]|\\.){1,200}+)"\s*+:\s*+', re.DOTALL)
_INPUT = re.compile(r"<(?:input|meta)\b[^>]*>?", re.IGNORECASE)
_INPUT_NAME = re.compile(r"""\b(?:name|id)\s*=\s*["']?([^\s"'>]+)""", re.IGNORECASE)
_INPUT_VALUE = re.compile(
    r"""(\b(?:value|content)\s*=\s*)("[^"]*"?|'[^']*'?|[^\s>]+)""", re.IGNORECASE
)
_PART = re.compile(r"content-disposition:[^\n]*", re.IGNORECASE)
_PART_NAME = re.compile(r'\bname="?([^";\r\n]*)', re.IGNORECASE)
_PART_BEGINS = re.compile(r"\n\r?\n")
_PART_ENDS = re.compile(r"\r?\n--")
_SCHEMES = re.compile(r"\b(Bearer|Basic|Digest|Token)\s+[\w.~+/=-]{4,}")
_LONGEST_PROTOCOL: Final = 32


HARMLESS_FIELDS: Final = frozenset(
    (
        *("accept", "accept-encoding", "accept-language", "accept-ranges", "age", "allow"),
        *("cache-control", "connection", "content-encoding", "content-language", "content-length"),
        *("content-range", "content-type", "date", "expect", "expires", "host", "keep-alive"),
        *("last-modified", "if-modified-since", "max-forwards", "origin", "pragma", "range"),
        *("retry-after", "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site", "sec-fetch-user"),
        *("sec-websocket-extensions", "sec-websocket-version", "server", "server-timing", "te"),
        *("traceparent", "trailer", "transfer-encoding", "upgrade", "user-agent", "vary"),
        *("via", "x-forwarded-proto", "x-request-id"),
    )
)
"""Fields of HTTP whose values an x-ray of a server in use shows; of all others only the length."""
HARMLESS_KEYS: Final = frozenset(
    (
        *("request-method", "script-name", "path-info", "content-type", "content-length"),
        *("server-name", "server-port", "server-protocol", "server-software", "remote-addr"),
        *("remote-port", "gateway-interface", "wsgi.url_scheme", "wsgi.url-scheme"),
        *("type", "http-version", "method", "scheme", "path", "root-path"),
    )
)
"""The same of keys of environ and scope that are no fields, with hyphens for underscores."""
_WORDS: Final = re.compile(
    r"(?:http|websocket|lifespan)(?:\.[a-z_]+)+|type|status|headers|body|more_body|trailers|text"
    r"|bytes|path|subprotocol|code|reason|message|links|state|extensions|file|offset|count"
)
_QUOTED: Final = re.compile(
    r"""b?('(?:[^'\\]|\\.)*+(?:'|\Z)|"(?:[^"\\]|\\.)*+(?:"|\Z))""", re.DOTALL
)
_NAME: Final = re.compile(r"[\w.\[\]%-]{1,40}")
_OFFERED: Final = re.compile(r"(?<=offered: )(?!none$).*", re.DOTALL)
"""Subprotocols of a client: browsers send tokens as such."""
_LONGEST_SENTENCE: Final = 4000

_only_harmless = False


def show_only_harmless(wanted: bool) -> None:
    """Have this process show values of `HARMLESS_FIELDS` only, no value of a query, and of what an
    application or a client says nothing but lengths; bodies are not touched by this."""
    global _only_harmless
    _only_harmless = wanted


def shows_only_harmless() -> bool:
    """Return whether that is so."""
    return _only_harmless


def is_known(word: str) -> bool:
    """Return whether a word of the application's may be shown as it is."""
    if not _only_harmless:
        return True
    return _WORDS.fullmatch(word) is not None or word.lower() in HARMLESS_FIELDS


def said(value: str) -> str:
    """Return a sentence of this server, in which something may be quoted."""
    if len(value) > _LONGEST_SENTENCE:
        return hidden(value)
    if not _only_harmless:
        return text(value)

    def hide(found: re.Match[str]) -> str:
        quoted = found[1][1:].removesuffix(found[1][0])
        return found[0] if is_known(quoted) else hidden(quoted) or found[0]

    value = _OFFERED.sub(lambda found: hidden(found[0]), value)
    return text(_QUOTED.sub(hide, value))


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
    if _only_harmless and (name.lower() not in HARMLESS_FIELDS or _CONTROL.search(value)):
        return hidden(value)  # a line end of another kind may have another field behind it
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
    if _only_harmless:
        before = _address(before)
    else:
        before = text(before)
    return f"{before}{mark}{query(asked)}" if mark else before


def _address(value: str) -> str:
    """Return a path or an address without who asks and with what password; decoded, if something
    in it has to be hidden that is seen only then."""
    value = _hide_user(value)
    if "%" in value:
        plain = unquote(value)
        before, mark, asked = plain.partition("?")
        decoded = f"{text(_hide_user(before))}{mark}{query(asked)}"
        if decoded != plain:
            return decoded
    return text(value)


def _hide_user(value: str) -> str:
    return _USERINFO.sub(lambda found: hidden(found[0]), value) if "@" in value else value


def query(value: str) -> str:
    """Return a query, or a form that is written like one (application/x-www-form-urlencoded).

    A value goes on to the next `&`, whatever is in it.
    """
    return "&".join(map(_query_pair, value.split("&")))


def form(value: str) -> str:
    """Return a body that is written like a query: asked for, as other bodies are."""
    return "&".join(map(_form_pair, value.split("&")))


def _query_pair(pair: str) -> str:
    if not _only_harmless:
        return _form_pair(pair)
    name, _, value = pair.partition("=")
    # What has no value may be one itself, also with the = signs of Base64 behind.
    is_name = value.strip("=") and _NAME.fullmatch(name)
    return f"{name}={hidden(value)}" if is_name else hidden(pair)


def _form_pair(pair: str) -> str:
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
        value = _hide_parts(value)
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


def _hide_parts(value: str) -> str:
    """Hide contents of a multipart form's parts (RFC 7578) whose names are those of secrets."""
    made: list[str] = []
    at = 0
    while (line := _PART.search(value, at)) is not None:
        name = _PART_NAME.search(line[0])
        if name is None or not is_secret(name[1]):
            made.append(value[at : line.end()])
            at = line.end()
            continue
        begins = _PART_BEGINS.search(value, line.end())
        if begins is None:
            break
        ends = _PART_ENDS.search(value, begins.end())
        end = len(value) if ends is None else ends.start()
        made += (value[at : begins.end()], hidden(value[begins.end() : end]))
        at = end
    made.append(value[at:])
    return "".join(made)


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
