"""A worker at a debugger's prompt outlives a reload, and no stop."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from bare_serve.dev import patience
from bare_serve.dev.patience import PatientLifecycle, PatientTerminator
from bare_serve.supervision.child import Child, State
from bare_serve.supervision.policy import Policy
from bare_serve.supervision.scoreboard import Scoreboard
from tests.support import eventually
from tests.support.slots import Unwatched
from tests.workers.test_debugger import APP, ASGI, PROMPT, WSGI, answer, request, terminal


class Leaving(Child):
    """A worker that was asked to leave; signals are only noted."""

    def __init__(self, board: Scoreboard) -> None:
        super().__init__(1, os.getpid(), -1, board.acquire())
        self.state = State.LEAVING
        self.ready_at = 1.0
        self.deadline = 10.0
        self.sent: list[int] = []

    def send(self, signum: int) -> None:
        self.sent.append(signum)


@pytest.fixture
def leaving() -> Leaving:
    return Leaving(Scoreboard(rows=1))


def test_one_that_a_debugger_holds_is_asked_again_and_again(leaving: Leaving) -> None:
    terminator = PatientTerminator(Policy(timeout_graceful_shutdown=1.0))
    terminator.enforce_deadline(leaving, 9.0, 0.0)
    assert leaving.sent == []
    now = 10.0
    for _ in range(20):
        terminator.enforce_deadline(leaving, now, 0.0)
        terminator.let_debug(leaving, now)
        assert leaving.deadline is not None
        now = leaving.deadline
    assert leaving.state is State.LEAVING
    assert len(leaving.sent) == 20
    # It goes on: from then on it has the usual time, and is killed behind it.
    terminator.enforce_deadline(leaving, now, 0.0)
    terminator.enforce_deadline(leaving, now + 1, 0.0)
    assert leaving.deadline == now + 1 + terminator.grace
    for late in (5, 6):
        assert leaving.state is State.LEAVING
        terminator.enforce_deadline(leaving, now + late, 0.0)
    assert leaving.state is State.TO_KILL


def test_a_stop_hurries_it_first(leaving: Leaving) -> None:
    terminator = PatientTerminator(Policy(timeout_graceful_shutdown=1.0))
    terminator.is_patient = False
    terminator.enforce_deadline(leaving, 10.0, 0.0)
    assert leaving.state is State.LEAVING
    assert len(leaving.sent) == 2
    leaving.deadline = 11.0
    terminator.enforce_deadline(leaving, 11.0, 0.0)
    assert leaving.state is State.TO_KILL


@pytest.mark.parametrize(
    ("held", "hurry", "grace"), [(True, False, 86400), (False, False, 1), (True, True, 1)]
)
def test_a_worker_gives_itself_the_time(
    held: bool, hurry: bool, grace: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "holds_any", lambda frame: held)
    life = PatientLifecycle(Unwatched(), None, 1.0)  # type: ignore[arg-type]
    life.stop(hurry=hurry)
    assert (life.grace, life.stopping) == (grace, True)


@pytest.mark.long
@pytest.mark.parametrize("source", [WSGI, ASGI], ids=["wsgi", "asgi"])
def test_the_line_is_edited_while_the_prompt_is_there(source: str, tmp_path: Path) -> None:
    with terminal(tmp_path, APP + source, "--dev") as there:
        with request(there.address, "/stop") as sock:
            there.shows(PROMPT)
            (tmp_path / "app.py").write_text((APP + source).replace("hello", "new code"))
            there.shows("Reloaded: all workers are new.")
            for _ in range(3):  # longer than the grace
                there.types("!time.sleep(1)")
            there.types("p seen + 1")
            there.shows("42")
            with request(there.address, "/") as other:
                assert b"new code" in answer(other)
            there.types("c")
            assert answer(sock).endswith(b"42")
        there.process.send_signal(signal.SIGINT)
        eventually(lambda: there.process.poll() is not None, "the end", 30)
