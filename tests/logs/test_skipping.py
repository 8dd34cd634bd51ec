"""Paths that have no line in the access log, unless something is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bare_serve.logs.skipping import skipping
from tests.support.answers import Answer, request

PATHS = ("/health", "/static/*", "*.ico", "/a?c", "/x.y")
SEEN = [
    (b"/health", 200, False),
    (b"/health?deep=1", 204, False),
    (b"/health", 404, False),
    (b"/health", 500, True),
    (b"/health", 503, True),
    (b"/health/", 200, True),
    (b"/healthy", 200, True),
    (b"/", 200, True),
    (b"/static/", 200, False),
    (b"/static/a/b.css", 304, False),
    (b"/static", 200, True),
    (b"/static\n/x", 200, True),
    (b"/img/favicon.ico", 200, False),
    (b"/abc", 200, False),
    (b"/abbc", 200, True),
    (b"/xzy", 200, True),
    (b"/order?next=/health", 200, True),
]


@pytest.mark.parametrize(("target", "status", "seen"), SEEN)
def test_which_requests_have_a_line(tmp_path: Path, target: bytes, status: int, seen: bool) -> None:
    fd = os.open(tmp_path / "log", os.O_CREAT | os.O_WRONLY)
    log = skipping(PATHS)(fd)
    log.record("127.0.0.1", request(target), Answer(status, 13), 0.001)
    log.flush()
    os.close(fd)
    assert bool((tmp_path / "log").read_text()) is seen


def test_without_globs(tmp_path: Path) -> None:
    log = skipping(("/health",))(os.open(os.devnull, os.O_WRONLY))
    log.record("", request(b"/health"), Answer(200, 1), 0.0)
    assert not log.pending
    log.record("", request(b"/"), Answer(200, 1), 0.0)
    assert log.pending
    log.close()


GLOBS = [
    ("/a*b*c", "/abc", True),
    ("/a*b*c", "/aXbXcXc", True),
    ("/a*b*c", "/aXcXb", False),
    ("*ab*", "/xaab", True),
    ("*a?c*", "/aabac", False),
    ("*a?c*", "/aabacabc", True),
    ("/a**b", "/ab", True),
    ("/a*", "/a", True),
    ("*", "/", True),
    ("/a?", "/a", False),
    ("/a*a", "/a", False),
]


@pytest.mark.parametrize(("glob", "path", "matched"), GLOBS)
def test_globs(glob: str, path: str, matched: bool) -> None:
    log = skipping((glob,))(os.open(os.devnull, os.O_WRONLY))
    log.record("", request(path.encode()), Answer(200, 1), 0.0)
    assert log.pending is not matched
    log.close()


@pytest.mark.timeout(20)
def test_no_path_of_a_client_takes_long() -> None:
    """In each way to divide it, this one would be tried for minutes."""
    log = skipping(("*a*b*c*d*e",))(os.open(os.devnull, os.O_WRONLY))
    log.record("", request(b"/" + b"abcd" * 2000), Answer(200, 1), 0.0)
    assert log.pending
    log.close()
