"""docs/middleware.md shows what curl really gets, and the options that there are."""

from __future__ import annotations

import shutil

import pytest

from bare_serve.middleware.registry import NAMES
from tools.middleware_doc import DOCUMENT, made


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_document_is_what_the_tool_makes() -> None:
    text = DOCUMENT.read_text("utf-8")
    assert made(text) == text, "run: python -m tools.middleware_doc"


def test_each_middleware_has_a_part() -> None:
    text = DOCUMENT.read_text("utf-8")
    assert [name for name in NAMES if f"\n## {name}\n" not in text] == []
