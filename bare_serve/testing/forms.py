"""Bodies of requests: JSON, forms, files.

What lives here: from the arguments of a request to bytes and a content type. What must not: the
other fields of the request (request.py).
"""

from __future__ import annotations

import json as jsonlib
import secrets
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

Values = Mapping[str, Any] | Iterable[tuple[str, Any]]
"""Of a query or form: by name, or as pairs; a list or tuple stands for several of one name."""

URLENCODED = "application/x-www-form-urlencoded"


def pairs(values: Values) -> list[tuple[str, Any]]:
    """Return each name with each of its values."""
    given = values.items() if isinstance(values, Mapping) else values
    found: list[tuple[str, Any]] = []
    for name, value in given:
        several = value if isinstance(value, (list, tuple)) else [value]
        found += [(name, each) for each in several]
    return found


def urlencoded(values: Values) -> str:
    """Return a query or a form (WHATWG URL, 5.2); True is "true", None is empty."""
    return urlencode([(name, _text(value)) for name, value in pairs(values)])


def json_bytes(value: Any) -> bytes:
    """Return `value` as compact JSON (RFC 8259); TypeError and ValueError for what is none."""
    text = jsonlib.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8")


def multipart(data: Values | None, files: Values) -> tuple[bytes, str]:
    """Return the body and the content type of a form with files (RFC 7578).

    A file is bytes, a str, an open binary file, or a tuple of a file name, one of these, and
    a content type, which is guessed from the name if it is left out.
    """
    boundary = secrets.token_hex(16)
    parts: list[bytes] = []
    if data is not None:
        parts += [
            _part(boundary, f'name="{_quoted(name)}"', "", _bytes(value))
            for name, value in pairs(data)
        ]
    for name, value in files.items() if isinstance(files, Mapping) else files:
        for file in value if isinstance(value, list) else [value]:
            parts.append(_file_part(boundary, name, file))
    body = b"".join(parts) + f"--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


def _file_part(boundary: str, name: str, file: Any) -> bytes:
    filename, content_type = getattr(file, "name", None), ""
    if isinstance(file, tuple):
        filename, file, *rest = file
        content_type = rest[0] if rest else ""
    filename = str(filename).rpartition("/")[2] if filename else name
    if not content_type:
        from mimetypes import guess_type  # reads files of the system

        content_type = guess_type(filename)[0] or "application/octet-stream"
    disposition = f'name="{_quoted(name)}"; filename="{_quoted(filename)}"'
    return _part(boundary, disposition, content_type, _bytes(file))


def _part(boundary: str, disposition: str, content_type: str, content: bytes) -> bytes:
    head = f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n"
    if content_type:
        head += f"Content-Type: {content_type}\r\n"
    return b"".join((head.encode("utf-8"), b"\r\n", content, b"\r\n"))


def _quoted(name: str) -> str:
    """WHATWG HTML, 4.10.21.8: what would end the name is percent-encoded."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _text(value: Any) -> Any:
    if value is True or value is False:
        return "true" if value else "false"
    return "" if value is None else value


def _bytes(value: Any) -> bytes:
    if hasattr(value, "read"):
        value = value.read()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    return str(_text(value)).encode("utf-8")
