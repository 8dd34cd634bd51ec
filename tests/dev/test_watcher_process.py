"""The watcher as the master sees it: what it is told, and what becomes of what it says."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from bare_serve.dev import development, imports, messages
from bare_serve.dev.development import Development
from bare_serve.dev.imports import Imports, files_of, is_under_development
from bare_serve.dev.messages import Changed, Task, Warned, Watching, decode, encode, in_messages
from bare_serve.dev.state import DevState
from bare_serve.dev.telling import TellingSlot
from bare_serve.dev.watcher_process import WatcherProcess, forget_bytecode, said
from bare_serve.dev.watching import Rules
from bare_serve.supervision.background import Means
from bare_serve.supervision.side_process import Running
from bare_serve.supervision.signals import Intent

MINE = Rules(("/srv",), ("*.html",), ("tests",), ("/srv/.env",))


@pytest.mark.parametrize(
    "report", [Changed(("/a.py",), 3, True, (7,)), Watching(5, "inotify"), Warned("so")]
)
def test_what_the_watcher_says_is_understood(report: messages.Report) -> None:
    assert decode(encode(report)) == report


@pytest.mark.parametrize("rubbish", [b"", b"5", b"[]", b"{}", b'["stop"]', b'["changed"]', b"\xff"])
def test_anything_else_says_nothing(rubbish: bytes) -> None:
    assert decode(rubbish) is None


def test_what_it_is_told_is_understood() -> None:
    task = Task(MINE, 5, "/lib", {"/srv/a.py": 7, "/srv/b.py": -1})
    assert Task.read(task.message()) == task
    many = {f"/srv/{'x' * 1000}/{number}.py": number for number in range(500)}
    message = Task(MINE, 5, "", many).message()
    assert len(message) < messages.LONGEST
    assert [*Task.read(message).contents.values()][-2:] == [498, 499]
    files = [f"/srv/{'x' * (number % 900)}{number}.py" for number in range(2000)]
    parts = [*in_messages(files)]
    assert [path for part in parts for path in messages.read_files(part)] == files
    assert max(map(len, parts)) < messages.LONGEST
    long = ["/" + "\x00" * 4000] * 100
    assert len(encode(messages.changed(long))) < messages.LONGEST
    assert messages.changed(long).total == 100


class Master:
    """A master with a watcher that a test plays."""

    def __init__(self) -> None:
        self.asked: list[Intent] = []
        self.seen: dict[str, Any] = {}
        self.process = WatcherProcess(MINE, "", self.seen)
        self.process.begin(Means(-1, self.asked.append, lambda _: 0))
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.ours.setblocking(False)
        self.running = Running(-1, self.ours, 0.0)

    def says(self, message: bytes) -> None:
        self.theirs.send(message)
        assert self.process.listen(self.running)

    def hears(self) -> list[bytes]:
        self.theirs.setblocking(False)
        found = []
        try:
            while True:
                found.append(self.theirs.recv(messages.LONGEST))
        except BlockingIOError:
            return found

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def master() -> Iterator[Master]:
    made = Master()
    yield made
    made.close()


def test_a_change_is_a_reload(master: Master, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    master.says(encode(Changed(("/srv/a.py", "/srv/b.py", "/srv/c.py", "/srv/d.py"), 9)))
    assert master.asked == [Intent.RELOAD]
    assert caplog.messages == ["Changed: /srv/a.py, /srv/b.py, /srv/c.py and 6 more. Reloading."]
    master.says(b"rubbish")
    assert master.asked == [Intent.RELOAD]


def test_a_change_of_what_the_master_has_imported_is_a_replacement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "helper.py"
    path.write_text("")
    module = ModuleType("helper_of_the_master")
    module.__file__ = str(path)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with closing(Master()) as master:
        master.says(encode(Changed((str(path),), 1)))
        assert master.asked == [Intent.UPGRADE]


def test_a_warning_is_given_once(master: Master, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        master.says(encode(Warned("too\nmany")))
    assert caplog.messages == ["too\\nmany"]


def test_a_new_watcher_is_told_all_files(master: Master) -> None:
    master.process.add(["/srv/lib/a.py", "/srv/lib/a.py", "relative.py", "/" + "x" * 5000])
    master.process.greet(master.running)
    first, *rest = master.hears()
    assert Task.read(first).rules == MINE
    told = [path for message in rest for path in messages.read_files(message)]
    assert told.count("/srv/lib/a.py") == 1
    assert not {"relative.py", "/" + "x" * 5000} & {*told}


def test_a_watcher_that_does_not_listen_holds_nothing_up(master: Master) -> None:
    files = [f"/srv/{'x' * 200}/{number}.py" for number in range(19_000)]
    master.process.add(files)
    master.process.greet(master.running)
    heard = master.hears()
    while master.process._unsent:
        master.process._send(master.ours)
        heard += master.hears()
    told = {path for message in heard[1:] for path in messages.read_files(message)}
    assert {*files} <= told
    assert master.process.due < float("inf")


def test_what_is_saved_once_more_is_tried_again_where_code_has_failed(
    master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = DevState()
    made = Development(state, master.process)
    again = encode(Changed(("/srv/a.py",), 1, again=True))
    now = [1000.0]
    monkeypatch.setattr(development, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def asks(message: bytes = again) -> int:
        before = len(master.asked)
        master.says(message)
        return len(master.asked) - before

    assert not asks(), "nothing has failed"
    made.failed("no database")
    now[0] += 1.9
    assert not asks(), "the start may have written it"
    now[0] += 0.2
    assert asks()
    now[0] += 60
    assert not asks(), "that is being tried"
    made.failed("no database")
    now[0] += 3
    assert asks(encode(Changed(("/srv/a.py",), 1)))
    made.renewed()
    made.is_over()
    now[0] += 3
    assert not asks(), "the code serves"


def test_what_was_in_files_outlives_the_watcher_and_the_master(master: Master) -> None:
    for number in range(600):
        path = f"/srv/{number % 550}.py"
        master.says(encode(Changed((path,), 1, contents=(number,))))
    assert len(master.seen["contents"]) == 500
    assert [*master.seen["contents"].items()][-1] == ("/srv/49.py", 599)
    master.process.greet(master.running)
    told = Task.read(master.hears()[0]).contents
    assert told["/srv/49.py"] == 599
    seen = json.loads(json.dumps(master.seen))
    assert WatcherProcess(MINE, "", seen)._contents == master.seen["contents"]


def test_a_file_that_changes_at_each_start_is_named(
    master: Master, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = encode(Changed(("/srv/a.py",), 1)), encode(Changed(("/srv/b.py",), 1))
    for message in [one] * 9:  # a person edits the same file again and again
        master.says(message)
    master.process.is_starting = lambda: True
    for message in (one, one, one, one, other, one, one, one, one):
        master.says(message)
    assert "--reload-exclude" not in caplog.text
    for _ in range(9):
        master.says(one)
    [warning] = [line for line in caplog.messages if "--reload-exclude" in line]
    assert warning.startswith("/srv/a.py: changed 5 times in a row, each time while the ")
    assert warning.endswith("leave it out: --reload-exclude 'a.py'.")


def test_what_changes_at_each_start_lets_the_start_come_to_its_end(
    master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WatcherProcess, "_start", lambda *_: None)  # of the real process
    process, one = master.process, encode(Changed(("/srv/a.py",), 1))
    process.is_starting = lambda: True
    for number in range(1, 5):
        master.says(one)
        assert len(master.asked) == number
    master.says(one)
    now = time.monotonic()
    process.look(now)
    process.look(now + 30)
    assert len(master.asked) == 4, "the start is under way"
    assert process.due <= now + 31
    process.look(now + 90)
    assert len(master.asked) == 5, "it does not end"
    master.says(one)
    process.is_starting = lambda: False
    process.look(time.monotonic())
    assert len(master.asked) == 5, "a pause"
    process.look(process.due)
    assert len(master.asked) == 6
    # Anything else is served at once, and so is the same when no code starts.
    process.is_starting = lambda: True
    master.says(one)
    master.says(encode(Changed(("/srv/b.py",), 1)))
    assert len(master.asked) == 7
    assert process._later is None
    process.is_starting = lambda: False
    master.says(one)
    assert len(master.asked) == 8


def test_how_a_change_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    changed = Changed((f"{tmp_path}/a\n.py", "/etc/b.py"), 2)
    assert said(changed) == "Changed: a\\n.py, /etc/b.py"
    where = tmp_path / "gone"
    where.mkdir()
    monkeypatch.chdir(where)
    where.rmdir()
    assert said(changed) == f"Changed: {tmp_path}/a\\n.py, /etc/b.py"


def test_compiled_files_of_what_has_changed_are_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("")
    compiled = Path(importlib.util.cache_from_source(str(path)))
    compiled.parent.mkdir()
    compiled.write_text("")
    forget_bytecode([str(path), str(tmp_path / "never.py"), "/no/such/a.html"])
    assert not compiled.exists()
    assert path.exists()


@pytest.mark.parametrize(
    ("path", "mine"),
    [
        ("/srv/app.py", True),
        ("/srv/venv/lib/python3.11/site-packages/flask/app.py", False),
        ("/usr/lib/python3/dist-packages/apt.py", False),
        (os.__file__, False),
        (imports.__file__, False),
        ("<frozen importlib._bootstrap>", False),
        (str(Path(sys.executable).with_name("bare-serve")), False),
    ],
)
def test_what_is_under_development(path: str, mine: bool) -> None:
    assert is_under_development(path) is mine


class Lazy:
    """What stands in sys.modules for a module, and does not want to be touched."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(name)


def test_only_new_imports_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    looking = Imports()
    looking.new()
    assert looking.new() == []
    module = ModuleType("fresh_module")
    module.__file__ = "/srv/fresh.py"
    monkeypatch.setitem(sys.modules, "fresh_module", module)
    monkeypatch.setitem(sys.modules, "lazy_module", Lazy())  # type: ignore[misc]
    assert looking.new() == ["/srv/fresh.py"]
    assert looking.new() == []


class Slot:
    """What a worker's slot is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.beats = 0
        self.stacks = "others are passed on"

    def imported(self, files: list[str]) -> None:
        assert len(files) <= 200
        self.told += files

    def beat(self, _connections: int, _requests: int) -> None:
        self.beats += 1


def test_a_worker_tells_at_its_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    slot = Slot()
    telling = TellingSlot(slot)  # type: ignore[arg-type]
    telling.beat(0, 0)
    slot.told.clear()
    for number in range(450):
        module = ModuleType(f"fresh_{number}")
        module.__file__ = f"/srv/{number}.py"
        monkeypatch.setitem(sys.modules, module.__name__, module)
    telling.beat(0, 0)
    telling.beat(0, 0)
    assert (len(slot.told), slot.beats) == (450, 3)
    assert telling.stacks == "others are passed on"


def test_files_of_an_import_that_failed(tmp_path: Path) -> None:
    outer, inner = tmp_path / "outer.py", tmp_path / "inner.py"
    outer.write_text(f"compile('def (', {str(inner)!r}, 'exec')")
    with pytest.raises(SyntaxError) as caught:
        exec(compile(outer.read_text(), str(outer), "exec"))
    found = [path for path in files_of(caught.value) if path.startswith(str(tmp_path))]
    assert found == [str(outer), str(inner)]
    assert files_of(None) == []
