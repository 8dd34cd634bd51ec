"""What tells at once that something has changed."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from bare_serve.dev import alarms
from bare_serve.dev.alarms import Alarm, Inotify, Watchfiles, choose
from tests.support import eventually


@pytest.fixture
def inotify() -> Iterator[Inotify]:
    alarm = Inotify()
    yield alarm
    os.close(alarm.fd)


def rings(alarm: Alarm) -> bool:
    return bool(select.select([alarm.fd], [], [], 0)[0])


@pytest.mark.parametrize("what", ["write", "create", "rename", "delete", "touch"])
def test_inotify_tells_of_changes_in_a_directory(
    what: str, inotify: Inotify, tmp_path: Path
) -> None:
    path = tmp_path / "app.py"
    path.write_text("")
    inotify.watch([str(tmp_path)])
    assert not rings(inotify)
    if what == "write":
        path.write_text("new")
    elif what == "create":
        (tmp_path / "new.py").write_text("")
    elif what == "rename":
        path.rename(tmp_path / "new.py")
    elif what == "delete":
        path.unlink()
    else:
        os.utime(path)
    assert rings(inotify)
    inotify.hear()
    assert not rings(inotify)


def test_only_these_directories_are_watched(inotify: Inotify, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for each in (one, two):
        each.mkdir()
    inotify.watch([str(one), str(tmp_path / "gone")])
    inotify.watch([str(two)])
    inotify.hear()
    (one / "a").write_text("")
    assert not rings(inotify)
    (two / "a").write_text("")
    assert rings(inotify)


def test_where_no_more_can_be_watched_looks_are_left(inotify: Inotify, tmp_path: Path) -> None:
    asked: list[bytes] = []

    def refuse(_fd: int, path: bytes, _mask: int) -> int:
        asked.append(path)
        return -1

    inotify._add = refuse
    inotify._get_errno = lambda: 28
    for _ in range(3):
        inotify.watch([str(tmp_path), str(tmp_path / "x")])
    assert len(asked) == 2, "those of the first time"


class Package:
    """The package watchfiles, as far as it is used."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.changes = 0

    def watch(self, *paths: str, stop_event: Any, **_options: object) -> Iterator[object]:
        self.asked.append(paths)
        while not stop_event.wait(0.01):
            if self.changes:
                self.changes -= 1
                yield {"a change"}


def test_watchfiles_is_asked_in_a_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = Package()
    module = ModuleType("watchfiles")
    module.watch = package.watch  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "watchfiles", module)
    monkeypatch.setattr(sys, "path", [*sys.path])
    alarm = Watchfiles(str(tmp_path))
    alarm.watch(["/b", "/a"])
    alarm.watch(["/a", "/b"])
    eventually(lambda: package.asked == [("/a", "/b")])
    alarm.hear()
    package.changes = 1
    eventually(lambda: rings(alarm))
    alarm.hear()
    assert not rings(alarm)
    alarm.watch(["/c"])
    eventually(lambda: package.asked[-1] == ("/c",))
    alarm._stop.set()
    for fd in (alarm.fd, alarm._writing):
        os.close(fd)


def test_the_best_alarm_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    found = choose("")
    assert found.name == "inotify"
    os.close(found.fd)
    monkeypatch.setattr(alarms, "Inotify", SimpleNamespace)

    def none() -> None:
        raise OSError

    monkeypatch.setattr(alarms, "Inotify", none)
    assert choose("").name == ""
    monkeypatch.setattr(alarms, "Watchfiles", lambda place: place)
    assert choose("/lib") == "/lib"
