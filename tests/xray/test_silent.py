"""An x-ray that only the application is shown changes nothing that others see."""

from __future__ import annotations

from typing import Any

import pytest

from bare_serve.config.settings import Settings
from bare_serve.server.compose import worker_options
from tests.xray.driving import Shown, call_wsgi


def app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hi"]


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode()


@pytest.mark.parametrize("silent", [True, False])
def test_server_timing_is_sent_unless_it_is_silent(silent: bool) -> None:
    assert ("Server-Timing" in call_wsgi(app, silent=silent)) is not silent


@pytest.mark.parametrize(
    ("path", "has_record"), [("/", True), ("/__own__/x", False), ("/base/__own__/x", False)]
)
def test_some_paths_have_no_record(path: str, has_record: bool) -> None:
    assert bool(call_wsgi(app, get(path), without="/__own__/")) is has_record
    assert bool(call_wsgi(app, get(path))) is True


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({}, None),
        ({"reload": True, "error_page": False}, None),
        ({"reload": True}, (False, True, True)),
        ({"reload": True, "xray": "on"}, (True, True, False)),
        ({"xray": "on"}, (True, False, False)),
        ({"demo": True}, (False, True, False)),
    ],
)
def test_who_is_shown_what(given: dict[str, Any], made: tuple[bool, ...] | None) -> None:
    options = worker_options(Settings(**given)).xray
    if options is None:
        assert made is None
    else:
        assert (options.prints, options.in_call, options.silent) == made
        assert bool(options.without) is given.get("reload", False)


def test_a_tracer_that_is_lent_is_as_before_afterwards() -> None:
    """Each record goes to who has asked for it, whoever has the tracer at its end."""
    own, other = Shown(silent=True, in_call=True, without="/own"), Shown(pattern="/b*", full=True)
    before = own.tracer.begin_apart("before")
    end = own.tracer.lend(other.tracer)
    assert (own.tracer.options.in_call, own.tracer.options.full) == (True, True)
    assert own.tracer.options.silent
    assert [own.tracer.admit("GET", path) for path in (b"/a", b"/b", b"/b/own")] == [0, 1, 0]
    meanwhile = own.tracer.begin_apart("meanwhile")
    end()
    assert own.tracer.admit("GET", b"/a") == 1
    assert not own.tracer.options.full
    for trace in (before, meanwhile, own.tracer.begin_apart("behind")):
        trace.finish()
    assert [block.title for block in own.blocks] == ["before", "behind"]
    assert [block.title for block in other.blocks] == ["meanwhile"]
