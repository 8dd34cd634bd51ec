"""The numbers are those of the settings, and those that docs/websockets.md promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from bare_serve.config.settings import Settings
from bare_serve.server.compose import worker_options
from bare_serve.websocket import WebSocketOptions
from bare_serve.websocket.options import (
    COMPRESS_FROM,
    FEW_FRAGMENTS,
    HIGH_WATER,
    LEAST_FRAGMENT,
    MAX_CONTROLS,
    MAX_FRAGMENTS,
)


def test_what_is_not_said_is_as_the_settings_have_it() -> None:
    """A component that is used by itself behaves as the command does."""
    assert worker_options(Settings()).websocket == WebSocketOptions()
    assert WebSocketOptions() == ("auto", 16 * 1024 * 1024, 20.0, 20.0, True)


@pytest.mark.parametrize(
    ("number", "value", "promise"),
    [
        (
            MAX_FRAGMENTS,
            131_072,
            "131,072 in one message, and beyond 4,096 of 16 bytes on average; else 1008",
        ),
        (FEW_FRAGMENTS, 4096, "beyond 4,096 of 16 bytes on average"),
        (LEAST_FRAGMENT, 16, "beyond 4,096 of 16 bytes on average"),
        (MAX_CONTROLS, 16_384, "16,384 a second; beyond: 1008"),
        (HIGH_WATER, 64 * 1024, "stops the reading once 64 KiB have come"),
        (COMPRESS_FROM, 256, "Messages under 256 bytes are sent as they are"),
    ],
)
def test_the_bounds_that_are_no_option(root: Path, number: int, value: int, promise: str) -> None:
    assert number == value
    assert promise in (root / "docs" / "websockets.md").read_text(encoding="utf-8")
