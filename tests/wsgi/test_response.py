"""PEP 3333 from the application's side: what it may do, and what comes of it."""

from __future__ import annotations

import gzip
import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bare_serve.errors import ClientGone, ResponseError
from bare_serve.wsgi.response import FileWrapper
from tests.wsgi.fakes import PLAIN, Answer, Closing, call, request


def app_of(pieces: Any, *headers: tuple[str, str], status: str = "200 OK") -> Callable[..., Any]:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response(status, [PLAIN, *headers])
        return pieces

    return app


# ---------------------------------------------------------------- bodies and their framing


@pytest.mark.parametrize(
    ("pieces", "length"),
    [
        ([b"one"], "3"),
        ((b"one",), "3"),
        ([b"on", b"e"], "3"),
        ([], "0"),
        ((), "0"),
        ([b""], "0"),
        ([b"", b"one"], "3"),
        ([b"x" * 40_000, b"y" * 20_000], "60000"),
        ([b"x" * 400_000], "400000"),
    ],
)
def test_lists_have_a_length(pieces: Any, length: str) -> None:
    answer = call(app_of(pieces))
    assert answer.headers["content-length"] == length
    assert answer.body == b"".join(pieces)
    assert answer.connection.response_complete
    assert answer.connection.keep_alive


def test_a_small_answer_is_one_write() -> None:
    assert len(call(app_of([b"one"])).transport.writes) == 1
    assert len(call(app_of([b"on", b"e"])).transport.writes) == 1


@pytest.mark.parametrize("make", [list, iter, Closing, lambda pieces: (p for p in pieces)])
def test_each_piece_of_an_iterable_leaves_at_once(make: Any) -> None:
    pieces = [b"x" * 40_000, b"", b"y" * 40_000]
    answer = call(app_of(make(pieces)))
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.body == b"".join(pieces)
    assert len(answer.transport.writes) == 3, "two pieces and the end; nothing for the empty one"


class One:
    """Knows that there is one piece."""

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Any:
        yield b"one"


def test_an_iterable_with_a_length_of_one_is_complete_with_its_piece() -> None:
    answer = call(app_of(One()))
    assert (answer.headers["content-length"], answer.body) == ("3", b"one")
    assert len(answer.transport.writes) == 1


@pytest.mark.parametrize(
    ("pieces", "last"),
    [
        ([b"one"], [True]),
        ([b"on", b"e"], [True]),
        ([], [True]),
        (One(), [True]),
        (iter([b"on", b"e"]), [False, False, True]),
        (iter([]), [True]),
        ([b"x" * 40_000, b"y" * 40_000], [False, False, True]),
        (FileWrapper(io.BytesIO(b"one")), [False, True]),
    ],
)
def test_the_last_piece_is_told_so_that_no_thread_waits_for_it(
    pieces: Any, last: list[bool]
) -> None:
    assert call(app_of(pieces)).transport.last == last


def test_an_http_1_0_client_gets_no_chunks() -> None:
    answer = call(app_of(iter([b"a", b"b"])), request(minor=0))
    assert answer.raw.endswith(b"\r\n\r\nab")
    assert answer.headers["connection"] == "close"


def test_a_declared_length_is_kept() -> None:
    answer = call(app_of(iter([b"a", b"b"]), ("Content-Length", "2")))
    assert "transfer-encoding" not in answer.headers
    assert (answer.body, answer.connection.short) == (b"ab", False)


def test_more_than_declared_is_cut_and_not_even_made() -> None:
    pieces = Closing([b"abc", b"de", b"never asked for"])
    answer = call(app_of(pieces, ("Content-Length", "4")))
    assert (answer.body, answer.connection.overrun) == (b"abcd", True)
    assert (pieces.given, pieces.closed) == (2, 1)


def test_less_than_declared_ends_the_connection() -> None:
    answer = call(app_of([b"a"], ("Content-Length", "2")))
    assert answer.connection.short
    assert not answer.connection.keep_alive


@pytest.mark.parametrize("pieces", [[b"abc"], [b"a", b"bc"], Closing([b"abc"])])
def test_head_has_no_body(pieces: Any) -> None:
    answer = call(app_of(pieces), request("HEAD"))
    assert answer.body == b""
    assert answer.headers.get("content-length", "3") == "3"


def test_head_of_an_endless_stream_ends() -> None:
    pieces = Closing([b"first", b"never asked for"])
    call(app_of(pieces), request("HEAD"))
    assert (pieces.given, pieces.closed) == (1, 1)


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_answers_without_a_body(status: str) -> None:
    answer = call(app_of([b"ignored"], status=status))
    assert (answer.status, answer.body) == (status, b"")
    assert "content-length" not in answer.headers or status.startswith("304")


# ---------------------------------------------------------------- start_response and write


def test_start_response_may_come_with_the_first_piece() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        yield b""
        start_response("201 Created", [PLAIN])
        yield b"late"

    answer = call(app)
    assert (answer.status, answer.body) == ("201 Created", b"late")


@pytest.mark.parametrize("pieces", [[b"x"], [], [b"x", b"y"], iter([b"x"]), iter([])])
def test_start_response_must_come(pieces: Any) -> None:
    with pytest.raises(ResponseError, match="without calling start_response"):
        call(lambda environ, start_response: pieces)


def test_start_response_twice() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        start_response("404 Not Found", [PLAIN])
        return []

    with pytest.raises(AssertionError, match="a second time without exc_info"):
        call(app)


def test_exc_info_before_anything_was_sent_replaces_the_answer() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN, ("Content-Length", "100"), ("X-First", "1")])
        try:
            raise KeyError("trouble")
        except KeyError:
            start_response("500 Oops", [PLAIN], sys.exc_info())
        return [b"sorry"]

    answer = call(app)
    assert (answer.status, answer.body) == ("500 Oops", b"sorry")
    assert "x-first" not in answer.headers
    assert answer.headers["content-length"] == "5"


@pytest.mark.parametrize("first", [b"x", b""])
def test_exc_info_after_something_was_sent_is_raised(first: bytes) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])(first)
        try:
            raise KeyError("trouble")
        except KeyError:
            start_response("500 Oops", [PLAIN], sys.exc_info())
        raise AssertionError("start_response returned")

    with pytest.raises(KeyError, match="trouble"):
        call(app)


def test_write_sends_at_once_and_comes_before_the_iterable() -> None:
    answers: list[Answer] = []

    def app(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", [PLAIN])
        write(b"one ")
        assert answers[0].transport.writes[-1].endswith(b"one \r\n")
        write(b"two ")
        return [b"three"]

    assert call(app, answer=answers).body == b"one two three"


@pytest.mark.parametrize("rest", [[], [b""], iter([])])
def test_write_alone(rest: Any) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN, ("Content-Length", "3")])(b"one")
        return rest

    answer = call(app)
    assert (answer.body, answer.connection.response_complete) == (b"one", True)


@pytest.mark.parametrize(
    ("status", "headers", "error", "message"),
    [
        (200, [], AssertionError, "the status must be a str, such as '200 OK', not int"),
        (b"200 OK", [], AssertionError, "such as '200 OK', not bytes"),
        ("OK", [], ResponseError, "three digits"),
        ("200OK", [], ResponseError, "three digits"),
        ("2000 OK", [], ResponseError, "three digits"),
        ("099 No", [], ResponseError, "100 to 999"),
        ("100 Continue", [], ResponseError, "200 to 999"),
        ("200 O\r\nK", [], ResponseError, "control character"),
        ("200 \u20ac", [], ResponseError, "U\\+00FF"),
        ("200 OK", (), AssertionError, "the headers must be a list, not tuple"),
        ("200 OK", {}, AssertionError, "the headers must be a list, not dict"),
        ("200 OK", [["A", "b"]], AssertionError, "a tuple of two str"),
        ("200 OK", [("A",)], AssertionError, "a tuple of two str"),
        ("200 OK", ["Ab"], AssertionError, "a tuple of two str"),
        ("200 OK", [None], AssertionError, "a tuple of two str"),
        ("200 OK", [(b"A", "b")], AssertionError, "must be str"),
        ("200 OK", [("A", 1)], AssertionError, "must be str"),
        ("200 OK", [("A", [])], AssertionError, "must be str"),
        ("200 OK", [("A b", "c")], ResponseError, "not a token"),
        ("200 OK", [("A", "b\r\nSet-Cookie: c")], ResponseError, "control character"),
        ("200 OK", [("A", "\u20ac")], ResponseError, "U\\+00FF"),
        ("200 OK", [("Content-Length", "x")], ResponseError, "a number of bytes"),
        ("200 OK", [("Transfer-Encoding", "gzip")], ResponseError, "cannot be applied"),
    ],
)
def test_wrong_start(status: Any, headers: Any, error: type[Exception], message: str) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response(status, headers)
        return []

    for _ in range(2):  # what is remembered must not change the verdict
        with pytest.raises(error, match=message):
            call(app)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (["text"], "consists of bytes, not str"),
        (["text", "more"], "consists of bytes, not str"),
        ([b"x", 1], "consists of bytes, not int"),
        ([bytearray(b"x")], "consists of bytes, not bytearray"),
        (iter([b"x", "text"]), "consists of bytes, not str"),
        (b"bytes", "returns an iterable of bytes, such as .*, not bytes"),
        ("text", "returns an iterable of bytes, such as .*, not str"),
        (None, "returns an iterable of bytes, such as .*, not NoneType"),
    ],
)
def test_wrong_bodies(result: Any, message: str) -> None:
    with pytest.raises(ResponseError, match=message):
        call(app_of(result))


def test_unusual_statuses_and_headers_pass() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("299 Fine \xe4", [("X-Umlaut", "\xe4"), ("x-a", "1"), ("x-a", "2")])
        return []

    raw = call(app).raw
    assert raw.startswith(b"HTTP/1.1 299 Fine \xe4\r\n")
    assert b"X-Umlaut: \xe4\r\nx-a: 1\r\nx-a: 2\r\n" in raw
    assert call(app_of([], status="404")).raw.startswith(b"HTTP/1.1 404 Not Found\r\n")


# ---------------------------------------------------------------- close()


@pytest.mark.parametrize("pieces", [[], [b"a"], [b"a", b"b"]])
def test_close_is_called(pieces: list[bytes]) -> None:
    result = Closing(pieces)
    call(app_of(result))
    assert result.closed == 1


def test_close_is_called_where_the_iterable_fails() -> None:
    result = Closing([b"a", KeyError("trouble")])
    with pytest.raises(KeyError):
        call(app_of(result))
    assert result.closed == 1


def test_close_is_called_where_the_client_left() -> None:
    result = Closing([b"a", b"b", b"c"])
    with pytest.raises(ClientGone):
        call(app_of(result), leaves_after=1)
    assert (result.closed, result.given) == (1, 2)


def test_close_is_called_where_nothing_was_started() -> None:
    result = Closing([b"a"])
    with pytest.raises(ResponseError):
        call(lambda environ, start_response: result)
    assert result.closed == 1


# ---------------------------------------------------------------- wsgi.file_wrapper


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    return path


def test_a_file_is_sent_by_the_system(path: Path) -> None:
    with path.open("rb") as file:
        answer = call(app_of(FileWrapper(file)))
        assert answer.transport.files == [(0, 10)]
        assert answer.transport.last == [False, True]
        assert file.closed, "the wrapper's close() is the file's"
    assert answer.headers["content-length"] == "10"
    assert answer.connection.response_complete


@pytest.mark.parametrize("buffering", [-1, 0])
def test_a_file_is_sent_from_where_it_stands(path: Path, buffering: int) -> None:
    file = path.open("rb", buffering=buffering)
    file.read(4)
    answer = call(app_of(FileWrapper(file)))
    assert answer.transport.files == [(4, 6)]
    assert answer.headers["content-length"] == "6"


@pytest.mark.parametrize(("length", "overrun", "short"), [(3, False, False), (20, False, True)])
def test_a_file_with_a_declared_length(path: Path, length: int, overrun: bool, short: bool) -> None:
    app = app_of(FileWrapper(path.open("rb")), ("Content-Length", str(length)))
    answer = call(app)
    assert answer.transport.files == [(0, min(length, 10))]
    assert answer.headers["content-length"] == str(length)
    assert (answer.connection.overrun, answer.connection.short) == (overrun, short)


def test_head_of_a_file(path: Path) -> None:
    file = path.open("rb")
    answer = call(app_of(FileWrapper(file)), request("HEAD"))
    assert (answer.transport.files, answer.body) == ([], b"")
    assert answer.headers["content-length"] == "10"
    assert file.closed


def test_a_file_after_write_is_read(path: Path) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])(b"before ")
        return FileWrapper(path.open("rb"))

    answer = call(app)
    assert (answer.transport.files, answer.body) == ([], b"before 0123456789")


def packed(path: Path) -> Any:
    """Has a descriptor, whose bytes are not its content."""
    with gzip.open(path.with_suffix(".gz"), "wb") as file:
        file.write(b"0123456789")
    return gzip.open(path.with_suffix(".gz"), "rb")


def temporary(path: Path) -> Any:
    file = tempfile.NamedTemporaryFile()  # noqa: SIM115 (closed by the server)
    file.write(b"0123456789")
    file.seek(0)
    return file


class OnlyRead:
    def __init__(self, path: Path) -> None:
        self._file = io.BytesIO(b"0123456789")

    def read(self, size: int) -> bytes:
        return self._file.read(min(size, 4))


@pytest.mark.parametrize(
    "make", [lambda path: io.BytesIO(b"0123456789"), packed, temporary, OnlyRead]
)
def test_what_is_no_plain_file_is_read(path: Path, make: Any) -> None:
    file = make(path)
    answer = call(app_of(FileWrapper(file, 4)))
    assert (answer.transport.files, answer.body) == ([], b"0123456789")
    assert getattr(file, "closed", True)


def test_a_file_that_makes_up_its_content_is_read() -> None:
    answer = call(app_of(FileWrapper(open("/proc/self/status", "rb"))))  # noqa: SIM115
    assert answer.transport.files == []
    assert b"Threads:" in answer.body


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    answer = call(app_of(FileWrapper((tmp_path / "empty").open("rb"))))
    assert (answer.headers["content-length"], answer.body) == ("0", b"")


def test_a_closed_file_is_the_applications_fault(path: Path) -> None:
    file = path.open("rb")
    file.close()
    with pytest.raises(ValueError, match="closed file"):
        call(app_of(FileWrapper(file)))


def test_a_text_file_is_the_applications_fault(path: Path) -> None:
    with path.open() as file, pytest.raises(ResponseError, match="not str"):
        call(app_of(FileWrapper(file)))


def test_the_wrapper_is_an_iterable_for_middleware(path: Path) -> None:
    with path.open("rb") as file:
        assert list(FileWrapper(file, 4)) == [b"0123", b"4567", b"89"]


def test_who_closes_the_iterator_of_a_file_closes_the_file(tmp_path: Path) -> None:
    """As frameworks do that send a part of it."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    wrapper = FileWrapper(path.open("rb"), 4)
    assert wrapper.seekable()
    wrapper.seek(2)
    iterator = iter(wrapper)
    assert [*iterator] == [b"2345", b"6789"]
    assert wrapper.tell() == 10
    iterator.close()
    assert wrapper.filelike.closed


def test_a_file_that_cannot_be_rewound_says_so() -> None:
    class Stream:
        def read(self, size: int) -> bytes:
            return b""

    assert not FileWrapper(Stream()).seekable()
