"""What the application leaves in a master that has preloaded it."""

from __future__ import annotations

import threading

import pytest

from bare_serve.server import boot


def test_threads_that_an_import_has_left_are_named(caplog: pytest.LogCaptureFixture) -> None:
    begun, end = threading.Event(), threading.Event()

    def sample() -> None:
        begun.set()
        end.wait(60)

    thread = threading.Thread(target=sample, name="sampler")
    thread.start()
    try:
        assert begun.wait(60)
        boot._tell_of_threads([thread])
    finally:
        end.set()
        thread.join()
    assert f": sampler (sample, {__file__}). Start them in the hook " in caplog.text
