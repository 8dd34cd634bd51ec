"""A WSGI worker as its clients see it, and its life: blocking views, drain, hurry."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from bare_serve.http import Timeouts
from bare_serve.workers.wsgi.compute_gate import ComputeGate
from bare_serve.workers.wsgi.inflight import served
from bare_serve.workers.wsgi.shared import Shared
from tests.support import eventually
from tests.workers.wsgi.threads import (
    GET,
    PLAIN,
    PREFIX,
    Environ,
    Running,
    Serve,
    get,
    hello,
    running,
    serve_on,
    serve_threaded,
    serving_threads,
)

__all__ = ["serve_on", "serve_threaded"]


class Gate:
    """An application whose /wait blocks until the test lets it go; all else is quick."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.waiting = 0

    def __call__(self, environ: Environ, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"].startswith("/wait"):
            self.entered.release()
            assert self.go.acquire(timeout=30)
        start_response("200 OK", [PLAIN])
        return [environ["PATH_INFO"].encode()]

    def has_entered(self, count: int = 1) -> None:
        for _ in range(count):
            assert self.entered.acquire(timeout=10)

    def let_go(self, count: int = 1) -> None:
        self.go.release(count)


# ---------------------------------------------------------------- hand-off


def test_a_blocking_view_blocks_nobody(serve_threaded: Serve) -> None:
    gate = Gate()
    with serve_threaded(gate) as worker, worker.client() as slow, worker.client() as quick:
        assert quick.request().status == 200
        slow.send(get("/wait"))
        gate.has_entered()
        for _ in range(20):
            assert quick.request("GET", "/quick").body == b"/quick"
        gate.let_go()
        assert slow.response().body == b"/wait"
        assert slow.request("GET", "/again").body == b"/again", "the connection was given back"
        assert worker.requests == 23


def test_the_first_request_of_a_connection_may_block(serve_threaded: Serve) -> None:
    """The call is made while the leader still accepts."""
    gate = Gate()
    with serve_threaded(gate) as worker, worker.client() as slow:
        slow.send(get("/wait"))
        gate.has_entered()
        with worker.client() as quick:
            assert quick.request("GET", "/quick").status == 200
        gate.let_go()
        assert slow.response().status == 200
        eventually(lambda: no_call_runs(worker.shared))
        assert worker.shared.leadership is not None
        assert len(worker.shared.leadership._standby) == len(serving_threads()) - 1


def no_call_runs(shared: Shared) -> bool:
    assert shared.leadership is not None
    busy = [connection for connection in list(shared.connections.values()) if connection.busy]
    return not shared.leadership._table and not busy


def test_with_all_threads_busy_requests_wait_and_none_is_lost() -> None:
    gate = Gate()
    with running(gate, threads=2) as worker:
        clients = [worker.client() for _ in range(6)]
        for client in clients[:4]:
            client.send(get("/wait"))
        gate.has_entered(2)
        for client in clients[4:]:
            client.send(get("/quick"))
        eventually(lambda: len(serving_threads()) == 3, "one leads beside the two in calls")
        gate.let_go(4)
        for client in clients:
            assert client.response().status == 200
            client.close()
        assert worker.requests == 6


def test_a_known_slow_view_gives_the_lead_away_beforehand() -> None:
    gate = Gate()
    with running(gate) as worker:
        assert worker.shared.leadership is not None
        worker.shared.leadership._promote_follower = lambda call: None  # type: ignore[method-assign]
        worker.shared.slow_calls.note("GET", b"/wait/1", True)
        with worker.client() as slow, worker.client() as quick:
            slow.send(get("/wait/2"))
            gate.has_entered()
            assert quick.request("GET", "/quick").status == 200
            gate.let_go()
            assert slow.response().status == 200


def test_a_view_that_waits_for_its_like_is_not_deadlocked() -> None:
    """Both are thought to compute, so the second one waits for its turn, but not for ever."""
    inner = threading.Event()

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"].endswith("1"):
            assert inner.wait(30)
        else:
            inner.set()
        start_response("200 OK", [PLAIN])
        return [environ["PATH_INFO"].encode()]

    with running(app) as worker:
        worker.shared.compute_gate = ComputeGate(patience=0.05)
        worker.shared.slow_calls.note("GET", b"/wait/1", True)
        known = worker.shared.slow_calls.expects("GET", b"/wait/1")
        assert known is not None
        known.profile.computes = True
        with worker.client() as first, worker.client() as second:
            first.send(get("/wait/1"))
            eventually(lambda: worker.requests == 1)
            second.send(get("/wait/2"))
            assert second.response().body == b"/wait/2"
            assert first.response().body == b"/wait/1"


def test_an_application_that_never_blocks_keeps_one_thread() -> None:
    seen: set[int] = set()

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        seen.add(threading.get_ident())
        return hello(environ, start_response)

    # A busy machine may stop any thread for longer than the usual look.
    with running(app, look=0.5) as worker:
        for _ in range(5):
            with worker.client() as client:
                for _ in range(20):
                    assert client.request().body == b"hello"
        assert len(seen) == 1
        assert len(serving_threads()) == 1


def test_a_request_whose_connection_is_closed_is_not_in_progress(serve_on: Serve) -> None:
    with serve_on(hello) as worker, worker.client() as client:
        assert client.request("GET", "/", "Connection: close").status == 200
        eventually(lambda: not [*served(worker.shared.calls)])


def test_one_thread_is_the_workers_own() -> None:
    seen: list[threading.Thread] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        seen.append(threading.current_thread())
        assert environ["wsgi.multithread"] is False
        return hello(environ, start_response)

    with running(app, threads=1) as worker, worker.client() as client:
        assert client.request().status == 200
        assert seen == [worker.thread]
        assert serving_threads() == []


def test_thread_local_state_stays_with_its_thread(serve_threaded: Serve) -> None:
    local = threading.local()
    gate = Gate()

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        assert environ["wsgi.multithread"] is True
        local.path = environ["PATH_INFO"]
        answer = gate(environ, start_response)
        assert local.path == environ["PATH_INFO"], "nobody else ran on this thread meanwhile"
        return answer

    with serve_threaded(app) as worker, worker.client() as slow, worker.client() as quick:
        slow.send(get("/wait/1"))
        gate.has_entered()
        for number in range(50):
            assert quick.request("GET", f"/{number}").status == 200
        gate.let_go()
        assert slow.response().status == 200


def test_a_crashing_view_costs_no_thread(serve_on: Serve, caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/crash":
            raise SystemExit("an application must not end a worker")
        return hello(environ, start_response)

    with serve_on(app) as worker:
        for _ in range(20):
            with worker.client() as client:
                assert client.request("GET", "/crash").status == 500
        with worker.client() as client:
            assert client.request().status == 200
    assert caplog.text.count("GET /crash: the application raised ") == 20


def test_pipelined_requests_behind_a_slow_one_keep_their_order(serve_on: Serve) -> None:
    gate = Gate()
    with serve_on(gate) as worker, worker.client() as client:
        client.send(get("/wait") + get("/1") + get("/wait") + get("/2"))
        gate.has_entered()
        gate.let_go(2)
        client.send(get("/3"))
        bodies = [client.response().body for _ in range(5)]
        assert bodies == [b"/wait", b"/1", b"/wait", b"/2", b"/3"]


def test_a_client_that_leaves_while_its_view_runs(serve_threaded: Serve) -> None:
    gate = Gate()
    with serve_threaded(gate) as worker, worker.client() as other:
        with worker.client() as slow:
            slow.send(get("/wait"))
            gate.has_entered()
        assert other.request().status == 200
        eventually(lambda: len(worker.shared.connections) == 2, "busy, so not closed yet")
        gate.let_go()
        eventually(lambda: len(worker.shared.connections) == 1)
        assert other.request().status == 200


def test_bytes_on_a_busy_connection_do_not_spin_the_loop(serve_threaded: Serve) -> None:
    gate = Gate()
    with serve_threaded(gate) as worker, worker.client() as slow, worker.client() as other:
        slow.send(get("/wait"))
        gate.has_entered()
        slow.send(get("/next"))
        assert other.request().status == 200
        busy = next(c for c in worker.shared.connections.values() if c.busy)
        eventually(lambda: busy.events == 0, "the loop does not watch it")
        gate.let_go()
        assert [slow.response().body for _ in range(2)] == [b"/wait", b"/next"]
        eventually(lambda: busy.events != 0, "and watches it again")


def test_a_fault_of_the_loop_ends_the_worker() -> None:
    class Broken(Exception):
        pass

    def tick(now: float) -> None:
        raise Broken

    for threads in (1, 8):
        with contextlib.suppress(Broken), running(hello, threads=threads) as worker:
            worker.shared.acceptor.tick = tick  # type: ignore[method-assign]
            worker.join()
        assert isinstance(worker.error, Broken)


# ---------------------------------------------------------------- drain


def test_a_drain_answers_what_has_begun(serve_threaded: Serve) -> None:
    gate = Gate()
    with serve_threaded(gate) as worker, worker.client() as idle, worker.client() as busy:
        assert idle.request().status == 200
        busy.send(get("/wait") + get("/behind"))
        gate.has_entered()
        worker.stop()
        assert idle.is_closed()
        assert worker.thread.is_alive()
        with worker.client() as late:  # the listener is not ours to close
            late.send(GET)
            late.socket.settimeout(0.2)
            with pytest.raises(TimeoutError):
                late.socket.recv(1)
        gate.let_go()
        answer = busy.response()
        assert (answer.body, answer.header("connection")) == (b"/wait", "close")
        assert busy.is_closed(), "the request behind it is left to another worker"
        busy.close()
        worker.join()


def test_a_request_that_has_arrived_is_served_by_the_drain(serve_on: Serve) -> None:
    gate = Gate()
    with serve_on(gate) as worker, worker.client() as first, worker.client() as second:
        assert second.request().status == 200
        first.send(get("/wait"))
        gate.has_entered()
        second.send(get("/second"))
        worker.stop()
        gate.let_go()
        assert first.response().body == b"/wait"
        assert second.response().body == b"/second"
        assert first.is_closed()
        assert second.is_closed()
        worker.join()


def test_slow_views_during_the_drain(serve_threaded: Serve) -> None:
    """The sweep itself may be late, and another thread goes on with it."""
    gate = Gate()
    with serve_threaded(gate) as worker:
        clients = [worker.client() for _ in range(6)]
        for client in clients:
            assert client.request().status == 200
        clients[0].send(get("/wait"))
        gate.has_entered()
        for client in clients[1:4]:
            client.send(get("/wait"))
        worker.stop()
        gate.let_go(4)
        for client in clients[:4]:
            assert client.response().status == 200
        for client in clients:
            assert client.is_closed()
            client.close()
        worker.join()


def test_a_view_that_does_not_end_is_given_up(
    serve_threaded: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()
    with serve_threaded(gate, graceful_shutdown=0.2) as worker, worker.client() as client:
        client.send(get("/wait"))
        gate.has_entered()
        worker.stop()
        worker.join()
        assert client.response().status == 503
        assert client.is_closed()
        assert "Given up at shutdown: GET /wait" in caplog.text
        gate.let_go()  # the late thread finds that all is over
        eventually(lambda: not serving_threads())
    assert "Exception" not in caplog.text


def test_an_answer_that_does_not_end_is_cut_off_and_its_thread_finds_no_fault(
    serve_threaded: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    ended = threading.Event()

    def flood(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [PLAIN])
        try:
            while True:
                yield b"x" * 65536
        finally:
            ended.set()

    with serve_threaded(flood, graceful_shutdown=0.3) as worker, worker.client() as client:
        client.send(get("/flood"))
        client.read(1 << 20)
        worker.stop()
        with pytest.raises((EOFError, ConnectionResetError)):
            [client.read(1 << 20) for _ in itertools.count()]
        worker.join()
        assert ended.wait(20)
        eventually(lambda: not serving_threads())
    assert "Given up at shutdown: GET /flood" in caplog.text
    assert "raised" not in caplog.text
    assert "Cannot send" not in caplog.text


def test_hurry_cuts_the_grace_short_even_if_all_threads_are_busy() -> None:
    gate = Gate()
    with running(gate, threads=2, graceful_shutdown=3600) as worker:
        clients = [worker.client() for _ in range(3)]
        for client in clients:
            client.send(get("/wait"))
        gate.has_entered(2)
        worker.stop()
        worker.stop(hurry=True)
        worker.join()
        for client in clients:
            client.close()
        gate.let_go(3)
        eventually(lambda: not serving_threads())


def test_hurry_while_the_loop_polls(serve_on: Serve) -> None:
    with serve_on(hello) as worker, worker.client() as client:
        assert client.request().status == 200
        worker.stop(hurry=True)
        worker.join()
        assert client.is_closed()


def test_beats_tell_the_counts_also_while_all_threads_are_busy() -> None:
    gate = Gate()
    with running(gate, threads=2) as worker, worker.client() as one, worker.client() as two:
        one.send(get("/wait/1"))
        two.send(get("/wait/2"))
        gate.has_entered(2)
        beats = len(worker.slot.beats)
        eventually(lambda: worker.slot.beats[beats:][-1:] == [(2, 2)])
        eventually(lambda: len(serving_threads()) == 3, "one leads")
        told = sorted(worker.slot.told[-1].split("; "))
        names = [f"(thread {number}, 0x{at:016x})" for number, at in threads_of(worker)]
        assert [line.partition(" (")[0] for line in told] == ["GET /wait/1", "GET /wait/2"]
        assert {"(" + line.partition(" (")[2] for line in told} == set(names[:2])
        gate.let_go(2)
        one.response()
        two.response()


def threads_of(worker: Running) -> list[tuple[int, int | None]]:
    found = {int(thread.name.removeprefix(PREFIX)): thread.ident for thread in serving_threads()}
    assert len(found) == len(worker.shared.calls)
    return list(found.items())


# ---------------------------------------------------------------- clients that are slow or odd


def test_an_idle_connection_is_closed(serve_on: Serve) -> None:
    timeouts = Timeouts(keep_alive=0.1, headers=0.1)
    with serve_on(hello, timeouts=timeouts) as worker:
        with worker.client() as client:
            assert client.request().status == 200
            assert client.is_closed()
        with worker.client() as client:
            assert client.is_closed()
        with worker.client() as client:
            client.send(b"GET / HT")
            assert client.response().status == 408


def test_a_bad_request_is_answered_and_ends_the_connection(serve_on: Serve) -> None:
    with serve_on(hello) as worker, worker.client() as client:
        client.send(GET + b"nonsense\r\n\r\n")
        assert [client.response().status for _ in range(2)] == [200, 400]
        assert client.is_closed()


def test_the_loop_survives_a_lack_of_descriptors(
    serve_on: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    with serve_on(hello) as worker:
        number, door = next(iter(worker.shared.acceptor._doors.items()))
        refusals = [1, 2]

        def accept() -> Any:
            if refusals:
                refusals.pop()
                raise OSError(24, "Too many open files")
            return door.accept()

        worker.shared.acceptor._doors[number] = door._replace(accept=accept)
        with worker.client() as client:
            assert client.request().status == 200
        eventually(lambda: "Accepting works again" in caplog.text)
    assert caplog.text.count("Cannot accept: Too many open files. Trying again every 1 s.") == 1
    assert caplog.text.count("and 2 attempts.") == 1


def test_a_reset_connection_is_forgotten(serve_on: Serve) -> None:
    with serve_on(hello) as worker:
        client = worker.client()
        assert client.request().status == 200
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        eventually(lambda: not worker.shared.connections)
        with worker.client() as other:
            assert other.request().status == 200


def test_a_half_closed_client_is_still_answered(serve_on: Serve) -> None:
    with serve_on(hello) as worker, worker.client() as client:
        client.send(GET + GET)
        client.send_eof()
        assert [client.response().body for _ in range(2)] == [b"hello"] * 2
        assert client.is_closed()


BIG = 20 << 20


def test_a_slow_reader_of_a_list_holds_no_thread(serve_on: Serve) -> None:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/big":
            start_response("200 OK", [PLAIN])
            return [b"x" * BIG]
        return hello(environ, start_response)

    with serve_on(app) as worker, worker.client() as other, worker.client() as slow:
        slow.send(get("/big") + GET)
        slow.read_until(b"\r\n\r\n")
        for _ in range(5):
            assert other.request().body == b"hello"
        assert slow.read(BIG) == b"x" * BIG
        assert slow.response().body == b"hello"


def test_a_slow_reader_of_a_stream_holds_its_own_thread_only(serve_threaded: Serve) -> None:
    def app(environ: Environ, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/big":
            start_response("200 OK", [PLAIN, ("Content-Length", str(BIG))])
            return (b"x" * (1 << 16) for _ in range(BIG >> 16))
        return hello(environ, start_response)

    with serve_threaded(app) as worker, worker.client() as other, worker.client() as slow:
        slow.send(get("/big"))
        slow.read_until(b"\r\n\r\n")
        eventually(lambda: any(c.busy for c in list(worker.shared.connections.values())))
        busy = next(c for c in worker.shared.connections.values() if c.busy)
        for _ in range(5):
            assert other.request().body == b"hello"
        assert busy.unsent < 1 << 20, "the answer is not piled up"
        assert slow.read(BIG) == b"x" * BIG
        assert slow.request().body == b"hello"


@pytest.mark.parametrize("kind", ["stream", "file"])
def test_a_client_that_does_not_take_its_answer_is_dropped(
    serve_threaded: Serve, tmp_path: Any, kind: str
) -> None:
    closed = threading.Event()
    path = tmp_path / "big"
    path.write_bytes(b"x" * BIG)

    class Stream:
        def __iter__(self) -> Any:
            for _ in range(BIG >> 16):
                yield b"x" * (1 << 16)

        def close(self) -> None:
            closed.set()

    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN, ("Content-Length", str(BIG))])
        if kind == "stream":
            return Stream()
        wrapper = environ["wsgi.file_wrapper"](path.open("rb"))
        inner = wrapper.close
        wrapper.close = lambda: (inner(), closed.set())
        return wrapper

    with serve_threaded(app, timeouts=Timeouts(write=0.1)) as worker, worker.client() as client:
        client.send(GET)
        client.read_until(b"\r\n\r\n")
        assert closed.wait(10)
        eventually(lambda: not worker.shared.connections)
        with pytest.raises((ConnectionResetError, EOFError)):
            client.read(BIG)


@pytest.mark.parametrize("ends", ["list", "stream"])
def test_a_call_whose_answer_the_client_has_is_not_given_up(
    serve_threaded: Serve, ends: str, caplog: pytest.LogCaptureFixture
) -> None:
    """All the bytes of its length have been read, while the call still has something to do."""
    go = threading.Event()

    class Answer:
        def __iter__(self) -> Any:
            yield b"hello"
            if ends == "stream":
                assert go.wait(30)

        def close(self) -> None:
            if ends == "list":
                assert go.wait(30)

    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN, ("Content-Length", "5")])
        return Answer()

    with serve_threaded(app) as worker, worker.client() as client:
        client.send(GET)
        assert client.response().body == b"hello"
        worker.stop(hurry=True)
        worker.join()
        assert client.read_to_eof() == b"", "the end is clean"
        go.set()
        eventually(lambda: not serving_threads())
    assert "Given up" not in caplog.text
