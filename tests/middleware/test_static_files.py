"""What is remembered of files, and how soon it is noticed that they have changed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from bare_serve.middleware import static_files
from bare_serve.middleware.static_files import SMALL, Files
from tests.support.descriptors import opened_below

LONG_AGO = 1_000_000_000


def write(path: Path, content: bytes, at: float = LONG_AGO) -> Path:
    path.write_bytes(content)
    os.utime(path, (at, at))
    return path


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands a minute later: what was written just now has settled."""
    now = time.time_ns
    monkeypatch.setattr(static_files.time, "time_ns", lambda: now() + 60_000_000_000)


def content(files: Files, path: str) -> bytes:
    file, fd = files.find(path)
    if fd < 0:
        assert file.data is not None
        return file.data
    try:
        return os.pread(fd, file.size + 1, 0)
    finally:
        os.close(fd)


@pytest.mark.usefixtures("settled")
def test_a_small_file_is_read_once(tmp_path: Path) -> None:
    write(tmp_path / "a", b"small")
    files = Files(str(tmp_path))
    first, _ = files.find("a")
    again, fd = files.find("a")
    assert again is first
    assert fd == -1
    assert first.data == b"small"


@pytest.mark.usefixtures("settled")
def test_a_large_file_is_opened_each_time(tmp_path: Path) -> None:
    write(tmp_path / "a", bytes(SMALL + 1))
    files = Files(str(tmp_path))
    for _ in range(2):
        file, fd = files.find("a")
        assert file.data is None
        assert os.fstat(fd).st_size == file.size == SMALL + 1
        os.close(fd)


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("change", ["content", "size", "replaced", "times", "back"])
def test_each_change_is_noticed_at_once(tmp_path: Path, change: str) -> None:
    path = write(tmp_path / "a", b"before")
    files = Files(str(tmp_path))
    first, _ = files.find("a")
    if change == "content":
        path.write_bytes(b"after!")
    elif change == "size":
        write(path, b"longer than before")
    elif change == "replaced":
        write(tmp_path / "b", b"after!").rename(path)
    elif change == "times":
        os.utime(path, (LONG_AGO + 1, LONG_AGO + 1))
    else:
        write(path, b"after!")  # with the time that it had
    found, _ = files.find("a")
    assert found is not first
    assert found.data == path.read_bytes()


def test_what_was_changed_just_now_is_not_remembered(tmp_path: Path) -> None:
    """Another change within the same tick of the clock would have the same times."""
    write(tmp_path / "a", b"1", time.time())
    files = Files(str(tmp_path))
    first, _ = files.find("a")
    assert not first.settled
    assert files.find("a")[0] is not first


@pytest.mark.usefixtures("settled")
def test_a_file_that_goes_is_gone(tmp_path: Path) -> None:
    path = write(tmp_path / "a", b"1")
    files = Files(str(tmp_path))
    files.find("a")
    path.unlink()
    with pytest.raises(FileNotFoundError):
        files.find("a")
    write(path, b"2")
    assert content(files, "a") == b"2"


@pytest.mark.usefixtures("settled")
def test_a_link_out_in_the_place_of_a_known_file_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "key", b"secret")
    top = tmp_path / "top"
    top.mkdir()
    path = write(top / "a", b"public")
    files = Files(str(top))
    files.find("a")
    path.unlink()
    path.symlink_to("../key")
    with pytest.raises(FileNotFoundError):
        files.find("a")


@pytest.mark.usefixtures("settled")
def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static_files, "_MOST_BYTES", 100)
    monkeypatch.setattr(static_files, "_MOST_FILES", 3)
    files = Files(str(tmp_path))
    for name, size in (("a", 10), ("b", 20), ("c", 30), ("d", 40), ("e", 90), ("f", 0)):
        write(tmp_path / name, bytes(size))
        files.find(name)
        known = files._known
        assert files._bytes == sum(file.size for file in known.values()) <= 100
        assert len(known) <= 3
        assert name in known
    for name in "abcdef":
        assert content(files, name) == (tmp_path / name).read_bytes()


def test_the_directory_may_be_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a deployment does that turns a link; noticed within a second."""
    clock = [100.0]
    monkeypatch.setattr(static_files.time, "monotonic", lambda: clock[0])
    for release in ("one", "two"):
        (tmp_path / release).mkdir()
        write(tmp_path / release / "a", release.encode())
    current = tmp_path / "current"
    current.symlink_to("one")
    files = Files(str(current))
    assert content(files, "a") == b"one"
    current.unlink()
    current.symlink_to("two")
    clock[0] += 1
    assert content(files, "a") == b"two"
    current.unlink()
    assert content(files, "a") == b"two"
    clock[0] += 1
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            files.find("a")
    current.symlink_to("one")
    assert content(files, "a") == b"one"


def test_a_directory_that_is_replaced_is_closed(tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    files = Files(str(tmp_path / "top"))
    assert opened_below(tmp_path) == [str(tmp_path / "top")]
    del files
    assert opened_below(tmp_path) == []


def test_twins_are_found_if_they_are_not_older(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(static_files.time, "monotonic", lambda: clock[0])
    write(tmp_path / "a", b"1")
    files = Files(str(tmp_path))
    file, _ = files.find("a")
    assert file.twins() == ()
    write(tmp_path / "a.gz", b"2")
    write(tmp_path / "a.br", b"3", LONG_AGO - 1)
    assert file.twins() == ()
    clock[0] += 1
    assert file.twins() == ("gzip",)
    write(tmp_path / "a.br", b"3", LONG_AGO + 1)
    clock[0] += 1
    assert file.twins() == ("br", "gzip")


def test_a_file_that_shrinks_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a", b"0123456789")
    files = Files(str(tmp_path))
    read, shrunk = os.pread, [b"01234", b"012"]

    def shrinking(fd: int, count: int, offset: int) -> bytes:
        if shrunk:
            path.write_bytes(shrunk.pop(0))
        return read(fd, count, offset)

    monkeypatch.setattr(os, "pread", shrinking)
    file, _ = files.find("a")
    assert (file.data, file.size) == (b"012", 3)


def test_a_file_that_never_rests_is_sent_as_it_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a", b"0" * 100)
    files = Files(str(tmp_path))
    read = os.pread

    def shrinking(fd: int, count: int, offset: int) -> bytes:
        os.truncate(path, path.stat().st_size - 1)
        return read(fd, count, offset)

    monkeypatch.setattr(os, "pread", shrinking)
    file, _ = files.find("a")
    assert file.data is not None
    assert file.size == len(file.data) == 97
    assert not files._known
