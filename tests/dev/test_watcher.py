"""The watcher: when it looks, when a change is over, and what it says; and the process itself."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import pytest

from bare_serve.dev import messages, watcher, watching
from bare_serve.dev.alarms import Alarm
from bare_serve.dev.messages import Changed, Report, Task, Warned, Watching
from bare_serve.dev.watcher import Watcher
from bare_serve.dev.watching import Rules

PROGRAM = Path(watcher.__file__)


class Heard(Alarm):
    """An alarm that rings when a test says so."""

    name = "a test"

    def __init__(self) -> None:
        self.directories: list[str] = []

    def watch(self, directories: object) -> None:
        self.directories = [*directories]  # type: ignore[call-overload]

    def hear(self) -> None:
        pass


def begun(
    tmp_path: Path, since: int | None = None, **rules: tuple[str, ...]
) -> tuple[Watcher, list[Report]]:
    said: list[Report] = []

    def say(report: Report) -> None:
        said.append(report._replace(contents=()) if isinstance(report, Changed) else report)

    task = Task(Rules((str(tmp_path),), **rules), time.time_ns() if since is None else since)
    made = Watcher(task, Heard(), say)
    made.begin()
    return made, said


def test_it_says_what_it_watches_and_what_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "app.py"
    path.write_text("one")
    looking, said = begun(tmp_path)
    assert said == [Watching(1, "a test")]
    assert looking.alarm.directories == [str(tmp_path)]  # type: ignore[attr-defined]
    looking.look()
    assert len(said) == 1
    path.write_text("two!")
    (tmp_path / "new.py").write_text("")
    looking.look()
    assert said[1:] == [Changed((str(path), str(tmp_path / "new.py")), 2)]
    looking.look()
    path.unlink()
    looking.look()
    assert said[2:] == [Changed((str(path),), 1)]


def test_what_was_written_since_the_start_has_changed(tmp_path: Path) -> None:
    """The workers import while the watcher starts."""
    path = tmp_path / "app.py"
    path.write_text("one")
    written = path.stat().st_mtime_ns
    assert begun(tmp_path, written - 1)[1][1:] == [Changed((str(path),), 1)]
    assert begun(tmp_path, written)[1][1:] == []
    os.utime(path, (2**33, 2**33))  # as a clock that was set back leaves files
    assert begun(tmp_path, written)[1][1:] == []


def test_a_module_that_has_changed_before_it_was_told_of(tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    other = tmp_path / "other.py"
    other.write_text("")
    written = other.stat().st_mtime_ns
    looking, said = begun(tmp_path / "top", written - 1)
    looking.add([str(other)])
    assert said[1:] == [Changed((str(other),), 1)]
    looking.add([str(other)])
    other.write_text("changed")
    looking.look()
    assert len(said) == 3


def test_an_editor_that_takes_its_time_makes_one_change(tmp_path: Path) -> None:
    path, draft = tmp_path / "app.py", tmp_path / "draft"
    path.write_text("one")
    looking, said = begun(tmp_path)

    def save() -> None:
        path.unlink()
        for size in range(5):
            time.sleep(0.01)
            draft.write_text("x" * size)
        draft.rename(path)

    editor = threading.Thread(target=save)
    editor.start()
    while len(said) < 2:
        looking.look()
    editor.join()
    looking.look()
    assert said[1:] == [Changed((str(path),), 1)]


def test_what_ends_as_it_was_is_no_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "app.py"
    path.write_text("one")
    looking, said = begun(tmp_path)
    before = dict(looking._watched.snapshot)
    looks = iter([{}, {}, before])
    monkeypatch.setattr(looking, "_look", lambda: next(looks, before))
    looking.look()
    assert said[1:] == []


def test_a_file_that_the_application_writes_at_each_start_ends_no_loop(tmp_path: Path) -> None:
    path = tmp_path / "generated.py"
    looking, said = begun(tmp_path)
    for _ in range(4):
        path.write_text("always = 'the same'")
        os.utime(path, ns=(1, time.time_ns()))
        looking.look()
    again = Changed((str(path),), 1, again=True)
    assert said[1:] == [Changed((str(path),), 1), again, again, again]
    path.write_text("something = 'else'")
    looking.look()
    assert said[5:] == [Changed((str(path),), 1)]


def test_it_ends_where_a_start_takes_longer_than_half_a_minute(tmp_path: Path) -> None:
    path = tmp_path / "generated.py"
    looking, said = begun(tmp_path)
    for seconds in (0, 40, 40, 70, 70, 70):
        for name, (content, at, long) in looking._contents.items():
            looking._contents[name] = content, at - seconds, long
        path.write_text("always = 'the same'")
        os.utime(path, ns=(1, time.time_ns()))
        looking.look()
    changed, again = Changed((str(path),), 1), Changed((str(path),), 1, again=True)
    assert said[1:] == [changed, changed, again, changed, again, changed]


def test_what_a_watcher_before_has_seen_is_known(tmp_path: Path) -> None:
    """Another master has begun: the application may have written what it wrote for the last."""
    path, gone = tmp_path / "generated.py", tmp_path / "gone.py"
    path.write_text("always = 'the same'")
    said: list[Report] = []
    rules = Rules((str(tmp_path),))
    Watcher(Task(rules, 0), Heard(), said.append).begin()
    first = said[-1]
    assert isinstance(first, Changed)
    assert not first.again
    contents = {**dict(zip(first.files, first.contents, strict=True)), str(gone): -1}
    Watcher(Task.read(Task(rules, 0, "", contents).message()), Heard(), said.append).begin()
    assert said[-1] == first._replace(again=True)
    path.write_text("always = 'another'")
    Watcher(Task(rules, 0, "", contents), Heard(), said.append).begin()
    assert isinstance(said[-1], Changed)
    assert not said[-1].again


def test_of_a_large_file_no_change_is_missed(tmp_path: Path) -> None:
    path = tmp_path / "data.py"
    path.write_bytes(b"#" * watcher._LARGEST)
    looking, said = begun(tmp_path)
    for number in (1, 2, 3):
        path.write_bytes(b"#" * watcher._LARGEST + b"%d" % number)
        os.utime(path, ns=(1, time.time_ns()))
        looking.look()
    assert said[1:] == [Changed((str(path),), 1)] * 3


def test_a_pattern_that_matches_nothing_is_a_sentence(tmp_path: Path) -> None:
    _, said = begun(tmp_path, includes=("*.htm",))
    assert said[1:] == [Warned("--reload-include '*.htm' matches no file that is there now.")]


def test_that_nothing_is_watched_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("")
    _, said = begun(tmp_path, excludes=("*",))
    assert said == [Watching(0, "a test")]
    looking, said = begun(tmp_path, excludes=("*",))
    looking.add([str(tmp_path / "app.py")])
    [warning] = said[1:]
    assert isinstance(warning, Warned)
    assert "--reload-exclude" in warning.text
    looking, said = begun(tmp_path, excludes=("other*",))
    looking.add([str(tmp_path / "app.py")])
    assert said == [Watching(1, "a test")]


def test_files_that_become_too_many_leave_the_imported_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("app.py", "other.py"):
        (tmp_path / name).write_text("")
    looking, said = begun(tmp_path)
    looking.add([str(tmp_path / "app.py")])
    monkeypatch.setattr(watching, "MOST_FILES", 2)
    (tmp_path / "third.py").write_text("")
    looking.look()
    assert [type(report) for report in said[1:]] == [Warned]
    (tmp_path / "other.py").write_text("not watched")
    (tmp_path / "app.py").write_text("watched")
    looking.look()
    assert said[2:] == [Changed((str(tmp_path / "app.py"),), 1)]


def test_too_many_files_are_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.py", "b.py", "c.py"):
        (tmp_path / name).write_text("")
    monkeypatch.setattr(watching, "MOST_FILES", 2)
    looking, said = begun(tmp_path)
    assert isinstance(said[0], Warned)
    assert "below " + str(tmp_path) + "; only modules that were imported are" in said[0].text
    assert "--reload-dir" in said[0].text
    assert said[1:] == [Watching(0, "a test")]
    looking.look()
    assert len(said) == 2


def test_looks_are_seldom_if_they_take_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking, _ = begun(tmp_path)
    took = iter([0.0, 0.01, 0.0, 9.0])
    monkeypatch.setattr(watcher.time, "process_time", lambda: next(took))
    for least, most in ((2.4, 2.5), (4.9, 5.0)):
        now = time.monotonic()
        looking.look()
        assert least < looking.next_look - now < most + 5


def test_alarms_about_nothing_wake_it_ever_less(tmp_path: Path) -> None:
    looking, _ = begun(tmp_path)
    for _ in range(12):
        looking._looked_at = now = time.monotonic()
        looking.next_look = now + 1
        looking.look_sooner()
    assert looking.next_look == pytest.approx(now + 1)
    looking._looked_at = time.monotonic() - 10  # nothing has been written for a while
    looking.look_sooner()
    assert looking.next_look <= time.monotonic()


def test_the_process(tmp_path: Path) -> None:
    path = tmp_path / "app.py"
    path.write_text("one")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        command = [sys.executable, "-I", "-S", str(PROGRAM), str(theirs.fileno())]
        with subprocess.Popen(command, pass_fds=[theirs.fileno()]) as process:
            theirs.close()
            ours.settimeout(30)
            ours.send(Task(Rules((str(tmp_path),)), time.time_ns()).message())
            assert messages.decode(ours.recv(messages.LONGEST)) == Watching(1, "inotify")
            path.write_text("two!")
            contents = (zlib.crc32(b"two!"),)
            changed = Changed((str(path),), 1, contents=contents)
            assert messages.decode(ours.recv(messages.LONGEST)) == changed
            ours.close()
            assert process.wait(30) == 0


def test_by_hand_it_says_what_it_is() -> None:
    done = subprocess.run(
        [sys.executable, str(PROGRAM)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "--reload" in done.stderr) == (1, True)
    assert "Traceback" not in done.stderr


LIST = """
import sys
sys.argv = ["x"]
sys.path.append({root!r})
try:
    import bare_serve.dev.watcher
finally:
    print(*sys.modules)
"""


def test_it_imports_next_to_nothing(root: Path) -> None:
    command = [sys.executable, "-I", "-S", "-c", LIST.format(root=str(root))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = {*done.stdout.split()}
    ours = {name for name in found if name.startswith("bare_serve.")}
    parts = {f"bare_serve.dev.{name}" for name in ("alarms", "messages", "watcher", "watching")}
    assert ours <= parts | {"bare_serve.dev", "bare_serve.version"}
    assert not found & {"logging", "asyncio", "ssl", "threading", "subprocess", "pathlib", "ctypes"}
