"""The exceptions of the house: what each carries, and which exit code it means."""

from __future__ import annotations

import pytest

from bare_serve.errors import (
    AppLoadError,
    BareServeError,
    ClientGone,
    RequestError,
    ResponseError,
    UsageError,
)


@pytest.mark.parametrize(
    ("error", "code"), [(BareServeError("x"), 1), (UsageError("x"), 2), (AppLoadError("x"), 3)]
)
def test_what_ends_the_command_is_shown_as_it_is(error: BareServeError, code: int) -> None:
    assert isinstance(error, BareServeError)
    assert (str(error), error.exit_code) == ("x", code)


def test_an_application_that_cannot_be_loaded_brings_its_traceback() -> None:
    assert AppLoadError("x", "Traceback ...").details == "Traceback ..."
    assert AppLoadError("x").details == ""


def test_a_refused_request_carries_its_answer() -> None:
    error = RequestError(414, "The request line is too long.")
    assert (error.status, error.reason) == (414, "The request line is too long.")
    assert str(error) == "414 The request line is too long."


def test_applications_may_catch_the_others_by_builtin_names() -> None:
    """PEP 3333 and ASGI speak of no exceptions of ours."""
    assert issubclass(ResponseError, ValueError)
    assert issubclass(ClientGone, OSError)
    assert not issubclass(RequestError, BareServeError)
