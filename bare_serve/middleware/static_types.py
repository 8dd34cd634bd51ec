"""The content type of a file is decided by the last suffix of its name, and by nothing else.

What lives here: the table from suffix to Content-Type. What must not: reading a file to guess, or
the tables of the system, which differ from machine to machine.

Text is said to be UTF-8 (`charset`), since without that browsers guess. A suffix that is not known
is `application/octet-stream`, which browsers save and never run.
"""

from __future__ import annotations

import mimetypes
from functools import cache
from typing import Final

UNKNOWN: Final = "application/octet-stream"

# What the library's table of some supported Python lacks, or has otherwise than RFC 9239 and the
# registry of media types.
_OWN: Final = {
    ".avif": "image/avif",
    ".br": "application/octet-stream",
    ".bz2": "application/x-bzip2",
    ".flac": "audio/flac",
    ".geojson": "application/geo+json",
    ".gz": "application/gzip",
    ".heic": "image/heic",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript",
    ".jsonld": "application/ld+json",
    ".m4a": "audio/mp4",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".oga": "audio/ogg",
    ".ogg": "audio/ogg",
    ".ogv": "video/ogg",
    ".opus": "audio/ogg",
    ".otf": "font/otf",
    ".rtf": "application/rtf",
    ".ttf": "font/ttf",
    ".wav": "audio/wav",
    ".wasm": "application/wasm",
    ".weba": "audio/webm",
    ".webm": "video/webm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xml": "text/xml",
    ".xz": "application/x-xz",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".zip": "application/zip",
    ".zst": "application/zstd",
}
_AS_TEXT: Final = frozenset(("application/yaml", "application/rtf", "image/svg+xml"))


@cache
def _table() -> dict[str, str]:
    """Return the library's own table and ours; files of the system are not read into it."""
    return {**mimetypes.MimeTypes().types_map[True], **_OWN}


def content_type(name: str) -> str:
    """Return the Content-Type of a file by its path."""
    name = name.rpartition("/")[2]
    dot = name.rfind(".")
    found = _table().get(name[dot:].lower(), UNKNOWN) if dot > 0 else UNKNOWN
    if found.startswith("text/") or found in _AS_TEXT:
        return f"{found}; charset=utf-8"
    return found
