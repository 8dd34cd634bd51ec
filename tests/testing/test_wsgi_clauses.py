"""Each clause of WSGI is found by the lint, and by the server where the table says so."""

from __future__ import annotations

import io
import pickle
import sys
import warnings
from typing import Any

import pytest

from bare_serve.clauses import reference
from bare_serve.clauses.table import CLAUSES
from bare_serve.testing import SpecAdvice, SpecError, lint
from tests.testing import wsgi_breaches
from tests.testing.drivers import Answer, call_wsgi, environ, linted
from tests.wsgi.fakes import request
from tests.wsgi.pairs import pair

ALL = [*wsgi_breaches.APPLICATIONS.items(), *wsgi_breaches.MORE]
REPORTED = [(name, app) for name, app in ALL if CLAUSES[name].reported]
REPORTED += wsgi_breaches.SERVER_ONLY.items()


def judge(name: str, act: Any, said: list[SpecAdvice]) -> None:
    """`act` breaks the clause: as its weight wants it, by an error or by advice."""
    if CLAUSES[name].weight == "error":
        with pytest.raises(SpecError) as caught:
            act()
        assert caught.value.clause.id == name
        assert reference(name) in str(caught.value)
    else:
        act()
        # On a busy machine any application may hold the loop.
        assert {advice.clause.id for advice in said} - ({"asgi-loop-held"} - {name}) == {name}


@pytest.mark.parametrize(("name", "app"), ALL, ids=[name for name, _ in ALL])
def test_the_lint_finds_what_an_application_breaks(name: str, app: Any) -> None:
    checked, said = linted(app, "wsgi")
    caller = wsgi_breaches.CALLERS.get(name, call_wsgi)
    if isinstance(app, wsgi_breaches.Keeper):
        app.kept = None
    judge(name, lambda: caller(checked), said)


@pytest.mark.parametrize("name", wsgi_breaches.ENVIRONS)
def test_the_lint_finds_what_the_environ_breaks(name: str) -> None:
    checked, said = linted(wsgi_breaches.reads, "wsgi")
    given = wsgi_breaches.ENVIRONS[name]
    judge(name, lambda: call_wsgi(checked, given), said)


@pytest.mark.parametrize("name", wsgi_breaches.CALLERS)
def test_the_lint_finds_what_a_caller_breaks(name: str) -> None:
    apps = {"wsgi-start-over": wsgi_breaches.Keeper(), "wsgi-start-returns": wsgi_breaches.writes}
    app = apps.get(name, wsgi_breaches.yields(b"a", b"b"))
    checked, said = linted(app, "wsgi")
    judge(name, lambda: wsgi_breaches.CALLERS[name](checked), said)


def joins(app: Any) -> Any:
    return lambda environ, start_response: [b"".join(app(environ, start_response))]


def yields_from(app: Any) -> Any:
    def middleware(environ: Any, start_response: Any) -> Any:
        yield from list(app(environ, start_response))

    return middleware


@pytest.mark.parametrize("middleware", [joins, yields_from])
def test_the_lints_around_a_middleware_find_that_it_does_not_close(middleware: Any) -> None:
    def around(app: Any) -> Any:
        return lint(middleware(lint(app, "wsgi")), "wsgi")

    call_wsgi(around(wsgi_breaches.answers()))  # a list has nothing to close
    with pytest.raises(SpecError, match="wsgi-close-missing"):
        call_wsgi(around(wsgi_breaches.yields(b"a")))


def test_the_lints_around_a_middleware_that_closes_are_content() -> None:
    def middleware(environ: Any, start_response: Any) -> Any:
        result = inner(environ, start_response)
        try:
            yield from result
        finally:
            result.close()

    inner = lint(wsgi_breaches.yields(b"a", b"b"))
    assert call_wsgi(lint(middleware)).pieces == [b"a", b"b"]
    result = lint(middleware)(environ(), Answer().start_response)
    next(result)
    result.close()


@pytest.mark.parametrize(("name", "app"), REPORTED, ids=[name for name, _ in REPORTED])
def test_the_server_names_the_clause(name: str, app: Any, caplog: pytest.LogCaptureFixture) -> None:
    with pair() as both:
        for _ in range(2 if name == "wsgi-start-over" else 1):
            both.serve(app, request())
        both.finish()
    assert reference(name) in caplog.text


def test_each_clause_of_wsgi_has_a_breach() -> None:
    found = {*wsgi_breaches.APPLICATIONS, *wsgi_breaches.ENVIRONS, *wsgi_breaches.CALLERS}
    found |= {"wsgi-close-missing"}
    of_wsgi = {name for name in CLAUSES if name.startswith("wsgi-")}
    assert {name for name in found if name.startswith("wsgi-")} == of_wsgi


# ------------------------------------------------------------------------- what goes through


def test_a_list_is_returned_itself() -> None:
    body = [b"hello"]
    checked, said = linted(wsgi_breaches.answers(body=body))
    assert call_wsgi(checked).result is body
    assert said == []


def test_a_file_wrapper_is_returned_itself() -> None:
    class Wrapper:
        def __init__(self, file: Any) -> None:
            self.read = file.read

        def __iter__(self) -> Any:
            return iter(self.read, b"")

    made = Wrapper(io.BytesIO(b"file"))
    checked, _ = linted(wsgi_breaches.answers(body=made))
    assert call_wsgi(checked, environ() | {"wsgi.file_wrapper": Wrapper}).result is made


def test_pieces_come_one_at_a_time_and_close_goes_through() -> None:
    done: list[str] = []

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [wsgi_breaches.TYPE])
        try:
            done.append("first")
            yield b"a"
            done.append("second")
            yield b"b"
        finally:
            done.append("closed")

    result = lint(app)(environ(), Answer().start_response)
    assert done == []
    assert next(result) == b"a"
    assert done == ["first"]
    result.close()
    assert done == ["first", "closed"]


def test_exc_info_replaces_an_answer_and_is_raised_once_one_has_begun() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", [wsgi_breaches.TYPE])
        if environ["PATH_INFO"] == "/late":
            write(b"begun")
        try:
            raise LookupError("mine")
        except LookupError:
            start_response("500 Failed", [wsgi_breaches.TYPE], sys.exc_info())
        return [b"sorry"]

    checked, _ = linted(app)
    answer = call_wsgi(checked)
    assert (answer.status, answer.pieces) == ("500 Failed", [b"sorry"])
    with pytest.raises(LookupError, match="mine"):
        call_wsgi(checked, environ(PATH_INFO="/late"))


def test_what_an_application_swallows_is_raised_out_of_it() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [wsgi_breaches.TYPE])
        try:
            start_response("200 OK", [wsgi_breaches.TYPE])
        except AssertionError:
            pass
        return [b"all is well"] if environ["PATH_INFO"] == "/" else iter([b"all is well"])

    for path in ("/", "/iterator"):
        with pytest.raises(SpecError, match="wsgi-start-twice"):
            call_wsgi(lint(app), environ(PATH_INFO=path))


def test_empty_pieces_may_come_before_start_response() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        yield b""
        start_response("200 OK", [wsgi_breaches.TYPE])
        yield b"hello"

    checked, said = linted(app)
    assert call_wsgi(checked).pieces == [b"", b"hello"]
    assert said == []


def test_the_streams_are_those_that_came_in() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        stream = environ["wsgi.input"]
        got = [stream.read(1), stream.readline(), *stream.readlines(1), *stream]
        environ["wsgi.errors"].writelines(["a", "b"])
        environ["wsgi.errors"].flush()
        assert stream.getbuffer().nbytes == 12, "other attributes go through"
        return wsgi_breaches.answers(body=tuple(got))(environ, start_response)

    given = environ(wsgi_input=io.BytesIO(b"one\ntwo\nsix\n"), wsgi_errors=io.StringIO())
    errors = given["wsgi.errors"]
    checked, said = linted(lint(app))
    assert call_wsgi(checked, given).pieces == [b"o", b"ne\n", b"two\n", b"six\n"]
    assert errors.getvalue() == "ab"
    assert said == []


def test_a_426_may_say_to_what() -> None:
    app = wsgi_breaches.answers("426 Upgrade Required", [wsgi_breaches.TYPE, ("Upgrade", "x")])
    assert call_wsgi(lint(app)).status == "426 Upgrade Required"


@pytest.mark.parametrize("length", ["5", "50"])
def test_an_answer_to_head_has_no_body_to_count(length: str) -> None:
    headers = [wsgi_breaches.TYPE, ("Content-Length", length)]
    checked, said = linted(wsgi_breaches.answers(headers=headers, body=()))
    call_wsgi(checked, environ(REQUEST_METHOD="HEAD"))
    assert said == []
    checked, said = linted(wsgi_breaches.answers())
    call_wsgi(checked, environ(REQUEST_METHOD="HEAD"))
    assert [advice.clause.id for advice in said] == ["http-head-body"]


def test_the_same_head_gives_the_same_advice_again() -> None:
    checked, said = linted(wsgi_breaches.answers("200"))
    for _ in range(3):
        call_wsgi(checked)
    assert [advice.clause.id for advice in said] == ["wsgi-status-reason"] * 3


# ------------------------------------------------------------------------- how it is said


def test_advice_is_a_warning_where_the_application_was_called_and_a_note_is_none() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call_wsgi(lint(wsgi_breaches.answers("200")))
        call_wsgi(lint(wsgi_breaches.writes))
    assert [warning.filename for warning in caught] == [wsgi_breaches.__file__]
    assert "PEP 3333" in str(caught[0].message)


def test_an_error_says_what_was_got_and_what_to_do() -> None:
    with pytest.raises(SpecError) as caught:
        call_wsgi(lint(wsgi_breaches.starts_twice))
    got, rule = str(caught.value).splitlines()
    assert got == "start_response was called a second time without exc_info"
    assert rule.startswith('PEP 3333, "The start_response() Callable": ')
    assert rule.endswith(f"{caught.value.clause.fix} (wsgi-start-twice)")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.clause) == (str(caught.value), caught.value.clause)


def test_attributes_are_those_of_the_application() -> None:
    class App:
        name = "mine"

        def __call__(self, environ: Any, start_response: Any) -> Any:
            return []

    assert lint(App()).name == "mine"  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        lint(App()).other  # type: ignore[attr-defined]  # noqa: B018


def test_another_interface_is_refused() -> None:
    with pytest.raises(ValueError, match="'rack'"):
        lint(wsgi_breaches.no_start, "rack")  # type: ignore[arg-type]
