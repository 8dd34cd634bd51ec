"""Names of files and their content types."""

from __future__ import annotations

import mimetypes

import pytest

from bare_serve.middleware import static_types
from bare_serve.middleware.static_types import UNKNOWN, content_type


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("dir.d/a.HTM", "text/html; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.min.js.map", "application/json"),
        ("a.svg", "image/svg+xml; charset=utf-8"),
        ("a.png", "image/png"),
        ("a.jpg", "image/jpeg"),
        ("a.webp", "image/webp"),
        ("a.avif", "image/avif"),
        ("favicon.ico", "image/x-icon"),
        ("a.woff2", "font/woff2"),
        ("a.wasm", "application/wasm"),
        ("a.mp4", "video/mp4"),
        ("a.pdf", "application/pdf"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.xml", "text/xml; charset=utf-8"),
        ("a.webmanifest", "application/manifest+json"),
        ("a.tar.gz", "application/gzip"),
        ("a.js.br", UNKNOWN),
        ("a.unheardof", UNKNOWN),
        ("README", UNKNOWN),
        (".html", UNKNOWN),
        ("a/.html", UNKNOWN),
        ("a.html/b", UNKNOWN),
        ("a.", UNKNOWN),
    ],
)
def test_the_last_suffix_decides(name: str, kind: str) -> None:
    assert content_type(name) == kind


def test_the_tables_of_the_system_have_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mimetypes, "types_map", {".html": "text/odd", ".unheardof": "text/odd"})
    static_types._table.cache_clear()
    assert content_type("a.html") == "text/html; charset=utf-8"
    assert content_type("a.unheardof") == UNKNOWN
