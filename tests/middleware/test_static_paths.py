"""Which paths lead to a file, and that none leads out of the directory."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from bare_serve.middleware.static_paths import Directory, is_path, open_below
from tests.support.descriptors import opened_below

SECRET = "secret"


@pytest.mark.parametrize(
    ("path", "plain", "hidden"),
    [
        ("", True, True),
        ("a", True, True),
        ("a/", True, True),
        ("a/b.c", True, True),
        ("a b", True, True),
        ("größe/日本.txt", True, True),
        ("a..b", True, True),
        ("a.", True, True),
        ("~", True, True),
        ("C:", True, True),
        ("%2e%2e", True, True),  # a name like any other: it was decoded already
        (".well-known/acme", True, True),
        ("a/.well-known", True, True),
        (".env", False, True),
        ("a/.git/config", False, True),
        (".well-knownx", False, True),
        ("...", False, True),
        ("..a", False, True),
        ("a/...", False, True),
        (".", False, False),
        ("..", False, False),
        ("./a", False, False),
        ("../a", False, False),
        ("a/.", False, False),
        ("a/..", False, False),
        ("a/../b", False, False),
        ("/", False, False),
        ("/a", False, False),
        ("a//b", False, False),
        ("a//", False, False),
        ("a\\b", False, False),
        ("..\\a", False, False),
        ("a\0", False, False),
        ("a\n", False, False),
        ("a\x7f", False, False),
        ("a\udc80", False, False),
        ("a" * 4097, False, False),
    ],
)
def test_paths(path: str, plain: bool, hidden: bool) -> None:
    assert (is_path(path), is_path(path, hidden=True)) == (plain, hidden)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A directory to serve, and beside it what must never be served."""
    (tmp_path / "top-secret").mkdir()
    (tmp_path / "top-secret" / "key").write_text(SECRET)
    (tmp_path / "key").write_text(SECRET)
    top = tmp_path / "top"
    (top / "sub" / "deep").mkdir(parents=True)
    (top / ".hidden").write_text(SECRET)
    (top / "a.txt").write_text("a")
    (top / "sub" / "b.txt").write_text("b")
    (top / "sub" / "deep" / "c.txt").write_text("c")
    os.mkfifo(top / "pipe")
    for name, target in LINKS.items():
        (top / name).parent.mkdir(exist_ok=True)
        (top / name).symlink_to(target.replace("TOP", str(top)))
    return top


LINKS = {
    # served
    "to-a": "a.txt",
    "sub/to-a": "../a.txt",
    "sub/to-sub": "./deep/../b.txt",
    "to-sub": "sub/",
    "to-to-sub": "to-sub",
    "sub/deep/up": "..",
    # not
    "out": "..",
    "out-file": "../key",
    "sub/out": "../../key",
    "out-and-in": "../top/a.txt",
    "absolute": "TOP/../key",
    "absolute-inside": "TOP/a.txt",
    "etc": "/etc/passwd",
    "round": "round",
    "round-1": "round-2",
    "round-2": "round-1",
    "dangling": "gone",
    "to-hidden": ".hidden",
    "deep-out": "sub/deep/../../../key",
    "to-pipe": "pipe",
    "backslash": "..\\key",
}


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("a.txt", "a"),
        ("sub/b.txt", "b"),
        ("sub/deep/c.txt", "c"),
        ("to-a", "a"),
        ("sub/to-a", "a"),
        ("sub/to-sub", "b"),
        ("to-sub/b.txt", "b"),
        ("to-to-sub/deep/c.txt", "c"),
        ("sub/deep/up/b.txt", "b"),
        ("sub/deep/up/deep/up/deep/c.txt", "c"),
    ],
)
def test_files_and_links_inside_are_opened(top: Path, path: str, content: str) -> None:
    before = opened_below(top)
    directory = Directory(str(top))
    fd, status = open_below(directory, path)
    assert os.pread(fd, 10, 0).decode() == content
    assert status.st_size == len(content)
    os.close(fd)
    del directory
    assert opened_below(top) == before


@pytest.mark.parametrize(
    "path",
    [
        *("gone", "sub/gone", "gone/a.txt", "a.txt/", "a.txt/b", "pipe"),
        *("out/key", "out/top/a.txt", "out-file", "sub/out", "out-and-in", "absolute"),
        *("absolute-inside", "etc", "round", "round-1", "dangling", "to-hidden", "deep-out"),
        *("to-pipe", "backslash", "to-a/", "sub/deep/up/deep/up/deep/up/deep/up/deep/up/deep/up/"
          "deep/up/deep/up/deep/up/deep/up/b.txt"),
    ],
)  # fmt: skip
def test_nothing_else_is(top: Path, path: str) -> None:
    directory = Directory(str(top))
    before = opened_below(top)
    with pytest.raises(OSError, match=r"served|No such|Not a") as caught:
        open_below(directory, path)
    assert not isinstance(caught.value, IsADirectoryError)
    assert opened_below(top) == before


@pytest.mark.parametrize("path", ["", "sub", "sub/", "sub/deep/", "to-sub", "sub/deep/up"])
def test_a_directory_is_told(top: Path, path: str) -> None:
    with pytest.raises(IsADirectoryError):
        open_below(Directory(str(top)), path)


def test_hidden_names_are_opened_if_asked(top: Path) -> None:
    directory = Directory(str(top))
    for path in (".hidden", "to-hidden"):
        fd, _ = open_below(directory, path, hidden=True)
        os.close(fd)
    with pytest.raises(FileNotFoundError):
        open_below(directory, "out-file", hidden=True)


def test_devices_and_sockets_are_nothing(top: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        short = os.open(top, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{short}/socket")
        os.close(short)
        with pytest.raises(FileNotFoundError):
            open_below(Directory(str(top)), "socket")
    with pytest.raises(FileNotFoundError):
        open_below(Directory("/dev"), "null")


def test_what_takes_the_place_of_a_file_meanwhile_is_not_opened(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at a name and its opening another one can take it."""
    directory = Directory(str(top))
    opened = os.open

    def swap(kind: str) -> None:
        def racing(name: str, flags: int, *, dir_fd: int | None = None) -> int:
            if name == "a.txt":
                (top / name).unlink()
                if kind == "pipe":
                    os.mkfifo(top / name)
                else:
                    (top / name).symlink_to("../key")
            return opened(name, flags, dir_fd=dir_fd)

        monkeypatch.setattr(os, "open", racing)

    for kind in ("pipe", "link"):
        (top / "a.txt").unlink()
        (top / "a.txt").write_text("a")
        before = opened_below(top)
        swap(kind)
        with pytest.raises(OSError, match=r"link|served"):
            open_below(directory, "a.txt")
        monkeypatch.undo()
        assert opened_below(top) == before


def test_a_directory_that_becomes_a_link_meanwhile_is_not_walked(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def racing(name: str, flags: int, *, dir_fd: int | None = None) -> int:
        if name == "sub":
            (top / "sub").rename(top / "moved")
            (top / "sub").symlink_to("../top-secret")
        return opened(name, flags, dir_fd=dir_fd)

    directory = Directory(str(top))
    monkeypatch.setattr(os, "open", racing)
    with pytest.raises(OSError, match=r"directory|link"):
        open_below(directory, "sub/key")
