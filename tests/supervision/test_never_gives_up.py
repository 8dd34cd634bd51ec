"""A server that has ever served does not give up, however often it is replaced meanwhile."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from pathlib import Path

import pytest

from bare_serve.supervision import handover
from bare_serve.supervision.scoreboard import Scoreboard
from tests.support import Server, eventually, serve

# It loads, so a trial finds nothing; what its startup needs is there or not.
ASGI = """
import os

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        if os.path.exists("down"):
            await send({"type": "lifespan.startup.failed", "message": "no database"})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"here"})
"""

# Only a worker, and not the trial, has a hook before.
WSGI = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"here"]
"""
HOOKS = """
import os

def post_fork(facts):
    if os.path.exists("down"):
        os._exit(7)
"""

KINDS = {"asgi": (ASGI, ()), "wsgi": (WSGI, ("--hooks", "hooks.py"))}


def _serves(server: Server) -> bool:
    with urllib.request.urlopen(server.url, timeout=10) as answer:
        return bool(answer.read() == b"here")


def _take_the_database_away(server: Server, cwd: Path) -> None:
    (cwd / "down").touch()
    for pid in server.workers:
        os.kill(pid, signal.SIGKILL)
    server.wait_for_output("The next attempt is in")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("options", "signum"),
    [
        ((), signal.SIGUSR2),
        (("--preload",), signal.SIGHUP),
        (("-w", "2"), signal.SIGUSR2),
    ],
)
def test_replaced_while_no_worker_is_ready(
    kind: str, options: tuple[str, ...], signum: signal.Signals, tmp_path: Path
) -> None:
    source, more = KINDS[kind]
    (tmp_path / "hooks.py").write_text(HOOKS)
    with serve("app:app", *options, *more, source=source, cwd=tmp_path) as server:
        _take_the_database_away(server, tmp_path)
        for times in (1, 2):  # a second one takes over from a master that never had a worker ready
            server.send_signal(signum)
            eventually(
                lambda n=times: server.stderr.count("Reloaded: only 0 of ") == n, "replaced", 30
            )
        assert server.process.poll() is None
        (tmp_path / "down").unlink()
        eventually(lambda: _serves(server), "an answer", 30)
        assert server.stop() == 0


def test_first_start_gives_up_although_it_was_replaced_meanwhile(tmp_path: Path) -> None:
    """Nothing ever worked, and who deploys is to learn of it."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    source = f"""
import os
if not os.path.exists("second"):
    open({str(gate)!r}).read()
"""
    started = source + ASGI.replace('"down"', '"."')
    with serve("app:app", source=started, cwd=tmp_path, ready=False) as server:
        with gate.open("w"):  # returns once the worker imports
            (tmp_path / "second").touch()
            server.send_signal(signal.SIGUSR2)
            assert server.wait(30) == 3
        assert "no database" in server.stderr


def test_the_record_says_it_and_an_older_one_is_taken_for_that(tmp_path: Path) -> None:
    board = Scoreboard(rows=1)
    record = {
        "listeners": {},
        "more_workers": 0,
        "scoreboard": {"layout": -1, "fd": -1, "rows": board.rows},
        "children": [],
        "has_served": False,
    }
    for text, expected in ((record, False), ({**record, "has_served": True}, True)):
        new = handover.Handover()
        new._take(json.loads(json.dumps(text)))
        assert new.has_served is expected
    del record["has_served"]
    new = handover.Handover()
    new._take(record)
    assert new.has_served
