"""Which files are watched, and what counts as a change: tables over directories that are made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bare_serve.dev import watching
from bare_serve.dev.watching import Rules, TooMany, Watched, changed_since, differences

TREE = [
    *("app.py", "shop/views.py", "shop/templates/a.html", "shop/static/a.css", "notes.txt"),
    *(".git/hook.py", ".hidden.py", "#app.py", "venv/pyvenv.cfg", "venv/lib/x.py"),
    *("cache/CACHEDIR.TAG", "cache/x.py", "node_modules/a/gyp.py", "shop/__pycache__/views.py"),
    *("lib/site-packages/flask.py", "tests/test_a.py", "env/settings.py"),
]
PY = {"app.py", "shop/views.py", "tests/test_a.py", "env/settings.py"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in TREE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    return tmp_path


def names(watched: Watched, top: Path) -> set[str]:
    return {os.path.relpath(path, top) for path in watched.look()}


@pytest.mark.parametrize(
    ("includes", "excludes", "more", "less"),
    [
        ((), (), set(), set()),
        (("*.html",), (), {"shop/templates/a.html"}, set()),
        (("shop/**/*.html",), (), {"shop/templates/a.html"}, set()),
        (("templates/*",), (), {"shop/templates/a.html"}, set()),
        (("./shop/*",), (), {"shop/templates/a.html", "shop/static/a.css"}, set()),
        (("*",), ("shop",), {"notes.txt"}, {"shop/views.py"}),
        ((), ("tests/",), set(), {"tests/test_a.py"}),
        ((), ("test_*.py", "env/*"), set(), {"tests/test_a.py", "env/settings.py"}),
        ((), ("*.py",), set(), PY),
        (("*.css",), ("shop/static",), set(), set()),
        (("views.p[yz]",), ("app.p?",), set(), {"app.py"}),
    ],
)  # fmt: skip
def test_patterns(
    includes: tuple[str, ...], excludes: tuple[str, ...], more: set[str], less: set[str], tree: Path
) -> None:
    watched = Watched(Rules((str(tree),), includes, excludes))
    assert names(watched, tree) == (PY | more) - less


def test_only_files_are_watched(tree: Path) -> None:
    os.mkfifo(tree / "pipe.py")
    watched = Watched(Rules((str(tree),), files=(str(tree / "pipe.py"), str(tree / "shop"))))
    assert names(watched, tree) == PY
    assert watched.add([str(tree / "pipe.py")]) == []


def test_a_directory_that_is_asked_for_is_watched_whatever_it_is(tree: Path) -> None:
    for name, file in (("venv", "lib/x.py"), (".git", "hook.py"), ("cache", "x.py")):
        assert names(Watched(Rules((str(tree / name),))), tree / name) == {file}


def test_links_are_followed_and_circles_end(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for each in (inside, outside):
        each.mkdir()
    (outside / "real.py").write_text("")
    (inside / "linked.py").symlink_to(outside / "real.py")
    (inside / "again").symlink_to(inside)
    (outside / "back").symlink_to(inside)
    (inside / "out").symlink_to(outside)
    (inside / "circle").symlink_to("circle")
    (inside / "circle.py").symlink_to("circle.py")
    (inside / "nowhere.py").symlink_to("nothing")
    assert names(Watched(Rules((str(inside),))), inside) == {"linked.py", "out/real.py"}


CHANGES = {
    "written": lambda path: path.write_text("longer"),
    "touched": lambda path: os.utime(path, ns=(1, path.stat().st_mtime_ns + 1)),
    "set back": lambda path: os.utime(path, (1, 1)),
    "renamed into its place": lambda path: _replaced(path),
    "gone": lambda path: path.unlink(),
    "a directory now": lambda path: (path.unlink(), path.mkdir()),
    "mode": lambda path: None,
}


def _replaced(path: Path) -> None:
    before = path.stat()
    other = path.with_name("other.tmp")
    other.write_text("y")
    os.utime(other, ns=(before.st_mtime_ns, before.st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize("how", CHANGES)
def test_what_is_a_change(how: str, tmp_path: Path) -> None:
    path = tmp_path / "app.py"
    path.write_text("x")
    watched = Watched(Rules((str(tmp_path),)))
    before = watched.look()
    CHANGES[how](path)
    expected = [] if how == "mode" else [str(path)]
    assert differences(before, watched.look()) == expected


def test_new_files_and_directories_are_seen_at_each_look(tmp_path: Path) -> None:
    """Also of a directory whose listing is remembered."""
    os.utime(tmp_path, (1, 1))
    watched = Watched(Rules((str(tmp_path),)))
    assert watched.look() == watched.look() == {}
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "app.py").write_text("")
    assert names(watched, tmp_path) == {"new/app.py"}
    os.utime(tmp_path / "new", (1, 1))
    assert names(watched, tmp_path) == names(watched, tmp_path) == {"new/app.py"}
    (tmp_path / "new" / "app.py").rename(tmp_path / "new" / "other.py")
    assert names(watched, tmp_path) == {"new/other.py"}
    assert watched.directories == [str(tmp_path), str(tmp_path / "new")]


def test_files_by_name_are_watched_before_they_exist(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    watched = Watched(Rules(files=(str(path),)))
    assert watched.look() == {}
    path.write_text("A=1")
    assert [*watched.look()] == [str(path)]


def test_imported_files_are_added_once_unless_they_are_excluded(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.py", "b.py", "c.so", "gone.py")]
    for path in files[:3]:
        path.write_text("")
    watched = Watched(Rules(excludes=("b.py",)))
    assert watched.add(map(str, files)) == [str(files[0]), str(files[2])]
    assert watched.add(map(str, files)) == []
    assert {*watched.look()} == {str(files[0]), str(files[2])} == {*watched.snapshot}
    files[3].write_text("")
    assert str(files[3]) in watched.look()


@pytest.mark.parametrize("most", ["MOST_FILES", "MOST_ENTRIES"])
def test_too_many_files(most: str, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, most, 3)
    watched = Watched(Rules((str(tree),), files=(str(tree / "app.py"),)))
    with pytest.raises(TooMany) as error:
        watched.look()
    assert error.value.args == (str(tree),)
    watched.give_up_directories()
    assert names(watched, tree) == {"app.py"}
    assert watched.directories == []


def test_directories_that_cannot_be_read_hold_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for top in (tmp_path / "gone", tmp_path / "file"):
        assert Watched(Rules((str(top),))).look() == {}


def test_patterns_that_match_nothing_are_told(tree: Path) -> None:
    watched = Watched(Rules((str(tree),), ("*.html", "*.jinja", "templates/*")))
    watched.snapshot = watched.look()
    assert watched.unmatched() == ["*.jinja"]


def test_only_what_was_written_between_has_changed() -> None:
    snapshot = {str(at): (at, 1, 1) for at in (1, 5, 6, 10, 11)}
    assert [*changed_since(snapshot, 5, 10)] == ["6", "10"]
