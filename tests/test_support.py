"""The shared helpers keep their word: what a test concludes from them is true."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import (
    RawClient,
    children_of,
    clean_environment,
    eventually,
    is_alive,
    killer,
    run_cli,
)


@pytest.fixture
def wire() -> Iterator[tuple[RawClient, socket.socket]]:
    """A client and the server's end of its connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, RawClient(listener.getsockname(), timeout=2) as client:
        peer, _ = listener.accept()
        with peer:
            yield client, peer


def test_a_client_that_finds_nobody_leaves_no_socket(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RawClient(str(tmp_path / "nobody"))
    gc.collect()  # a socket that was left would complain


Wire = tuple[RawClient, socket.socket]


def test_reads_exactly_one_answer(wire: Wire) -> None:
    client, peer = wire
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 404 Not Found\r\n")
    peer.sendall(b"content-length:0\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n")
    first = client.response()
    assert (first.version, first.status, first.reason, first.body) == ("HTTP/1.1", 200, "OK", b"hi")
    second = client.response()
    assert (second.status, second.reason, second.body) == (404, "Not Found", b"")
    assert second.header_list("Set-Cookie") == ["a", "b"]


def test_reads_chunks_and_trailers(wire: Wire) -> None:
    client, peer = wire
    peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    peer.sendall(b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrail: er\r\n\r\nrest")
    answer = client.response()
    assert answer.body == b"abcde"
    assert answer.trailers == [("trail", "er")]
    assert client.read(4) == b"rest"


def test_reads_until_the_end_when_nothing_else_tells(wire: Wire) -> None:
    client, peer = wire
    peer.sendall(b"HTTP/1.0 200 OK\r\n\r\nall of it")
    peer.shutdown(socket.SHUT_WR)
    assert client.response().body == b"all of it"
    assert client.is_closed()


def test_keeps_interim_answers_apart(wire: Wire) -> None:
    client, peer = wire
    peer.sendall(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
    answer = client.response()
    assert answer.status == 204
    assert [interim.status for interim in answer.interim] == [100]


def test_an_answer_to_head_has_no_body(wire: Wire) -> None:
    client, peer = wire
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
    assert client.request("HEAD").header("content-length") == "10"
    assert peer.recv(1000) == b"HEAD / HTTP/1.1\r\nHost: test\r\n\r\n"


def test_a_cut_answer_and_a_silent_server_fail(wire: Wire) -> None:
    client, peer = wire
    client.timeout = 0.05
    with pytest.raises(TimeoutError, match="no answer"):
        client.response()
    with pytest.raises(TimeoutError):
        client.is_closed()
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort")
    peer.shutdown(socket.SHUT_WR)
    with pytest.raises(EOFError, match="short"):
        client.response()


def test_something_sent_is_not_a_close(wire: Wire) -> None:
    client, peer = wire
    peer.sendall(b"x")
    assert not client.is_closed()


def test_eventually_gives_up() -> None:
    with pytest.raises(AssertionError, match="pigs fly"):
        eventually(lambda: False, "pigs fly", timeout=0.05)


def test_eventually_takes_errors_for_not_yet() -> None:
    answers = iter([OSError, AssertionError, None, 7])

    def fact() -> int | None:
        answer = next(answers)
        if isinstance(answer, type):
            raise answer
        return answer

    assert eventually(fact) == 7


def test_children_live_and_die() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with child:
        assert is_alive(child.pid)
        assert child.pid in children_of(os.getpid())
        child.kill()
        eventually(lambda: not is_alive(child.pid), "a zombie counts as dead")
        assert child.pid not in children_of(os.getpid())
    assert not is_alive(child.pid)


def test_the_environment_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "1")
    monkeypatch.setenv("BARE_SERVE_WORKERS", "9")
    monkeypatch.setenv("KEPT", "yes")
    env = clean_environment({"PORT": "2", "HOME": None})
    assert env["PORT"] == "2"
    assert env["KEPT"] == "yes"
    assert not {"BARE_SERVE_WORKERS", "HOME"} & env.keys()


HOLDER = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
held = [listener.accept() for _ in range(2)]
print("holds", flush=True)
input()
"""


def test_a_killed_process_is_asked_what_it_held() -> None:
    command = [sys.executable, "-c", HOLDER]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child,
        contextlib.ExitStack() as stack,
    ):
        assert child.stdout is not None
        port = int(child.stdout.readline())
        taken, waiting = [], []
        for clients in (taken, taken, waiting):  # the third one is never accepted
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))
            clients.append(client.getsockname()[1])
        assert child.stdout.readline() == b"holds\n"
        assert killer.held_by(os.getpid(), port) == set()
        assert killer.kill(child.pid, port) == dict.fromkeys(taken, 1)
        eventually(lambda: not is_alive(child.pid))
        assert killer.kill(child.pid, port) == {}


def test_a_server_leaves_no_compiled_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written anew within a second, an application would be taken from there."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    (tmp_path / "app.py").write_text("def app(environ, start_response): ...\n")
    assert run_cli("--check", "app:app", cwd=tmp_path).returncode == 0
    assert [each.name for each in tmp_path.iterdir()] == ["app.py"]
    assert sys.dont_write_bytecode


GROUPED = """
import os
from pathlib import Path
import pytest

@pytest.fixture(scope="module", params="ab")
def shared(request):
    return request.param

@pytest.fixture(autouse=True)
def noted(request):
    with Path("ran").open("a") as file:
        file.write(f"{os.environ['PYTEST_XDIST_WORKER']} {request.node.originalname} "
                   f"{request.node.callspec.params.get('shared', 'alone')}\\n")

@pytest.mark.parametrize("number", range(8))
def test_of_a_fixture(shared, number):
    pass

@pytest.mark.xdist_group("named")
@pytest.mark.parametrize("number", range(8))
def test_of_a_name(number):
    pass
"""


def test_tests_that_share_a_fixture_run_in_one_process(root: Path, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "from tests.support.grouping import pytest_collection_modifyitems\n"
    )
    (tmp_path / "test_grouped.py").write_text(GROUPED)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "xdist",
        "-n",
        "2",
        "--dist",
        "loadgroup",
    ]
    done = subprocess.run(
        [*command, "-c", os.devnull, "--rootdir", ".", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env=clean_environment({"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    ran = [line.split(" ", 1) for line in (tmp_path / "ran").read_text().splitlines()]
    assert len(ran) == 24
    where = {what: {worker for worker, each in ran if each == what} for _, what in ran}
    assert len(where) == 3
    assert all(len(workers) == 1 for workers in where.values()), where
