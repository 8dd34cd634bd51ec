"""A traceback begins with the application's first frame, and never loses what came after it."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from bare_serve.app.load import load_object
from bare_serve.app.tracebacks import exc_info, theirs
from bare_serve.errors import AppLoadError
from bare_serve.http1 import select_parser


def caught(call: Callable[[], Any]) -> BaseException:
    try:
        call()
    except BaseException as error:
        return error
    raise AssertionError("it did not fail")


def names(error: BaseException) -> list[str]:
    return [frame.name for frame in traceback.extract_tb(exc_info(error)[2])]


def test_begins_with_the_application() -> None:
    def factory() -> None:
        raise LookupError

    error = caught(lambda: load_object(factory, factory=True, interface="auto", target="t"))
    assert isinstance(error, AppLoadError)
    assert "in factory" in error.details
    assert "load.py" not in error.details


def test_frames_of_ours_that_the_application_called_stay() -> None:
    def application() -> None:
        select_parser("nonsense")

    assert names(caught(application))[-1] == "select_parser"


def test_the_whole_of_it_where_nothing_is_the_applications() -> None:
    error = caught(lambda: select_parser("nonsense"))
    assert error.__traceback__ is not None
    ours_alone = error.__traceback__.tb_next.tb_next  # type: ignore[union-attr]
    assert theirs(ours_alone) is None
    assert names(error.with_traceback(ours_alone)) == ["select_parser"]
