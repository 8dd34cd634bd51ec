"""The pages that are made from the tables are what the tables say now."""

from __future__ import annotations

from pathlib import Path

from bare_serve.config.settings import OPTIONS
from tools.options_doc import configuration, migrating


def test_the_pages_are_current(root: Path) -> None:
    remedy = "run: python -m tools.options_doc"
    assert (root / "docs/configuration.md").read_text() == configuration(), remedy
    assert (root / "docs/migrating.md").read_text() == migrating(), remedy


def test_every_option_is_listed() -> None:
    text = configuration()
    flags = {option.key: option.flag for option in OPTIONS} | {"app": "APP"}
    assert [key for key, flag in flags.items() if f"`{flag}`" not in text] == []
    assert "`--app`" not in text
    assert "`--lifespan`" in text
    assert "`--wsgi-buffer-chunked`, `--no-wsgi-buffer-chunked`" in text
