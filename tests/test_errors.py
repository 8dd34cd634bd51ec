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
    did_you_mean,
    near,
    nearest,
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


KNOWN = ["workers", "Bind", "bound"]


def test_a_mistyped_word_finds_the_one_that_was_meant() -> None:
    assert near("WORKER", KNOWN) == ["workers"]
    assert near("bind", KNOWN)[0] == "Bind", "as it is written"
    assert len(near("bond", KNOWN)) == 2
    assert len(near("bond", KNOWN, 1)) == 1
    assert near("xyz", KNOWN) == []


def test_a_message_ends_with_what_may_have_been_meant() -> None:
    assert did_you_mean([]) == ""
    assert did_you_mean(["a", "b"]) == "; did you mean 'a' or 'b'?"
    assert nearest("worker", KNOWN) == "; did you mean workers?"
    assert nearest("xyz", KNOWN) == ""
