"""A server whose application is edited: new code answers, nothing is refused, nothing ends it.

All of it with real processes, and with `--no-error-page`, so that it is the application that
answers.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.dev.editing import BROKEN, Project, body, clients, serves, streaming
from tests.support import Server, children_of, eventually, is_alive, serve

PLAIN = ("app:app", "--reload", "--no-error-page")
FEW = ["", "syntax", "import", "", "lifespan", "exit", ""]
# 50, of which 10, 5 and 5 are broken in these ways.
MANY = [*("", "syntax", "", "import", "", "", "syntax", "lifespan", "", "") * 5]


def edit(server: Server, project: Project, wrongs: list[str]) -> None:
    """Make these edits one after the other, each when the outcome of the one before is there."""
    good = project.version
    for number, wrong in enumerate(wrongs):
        failed, done = outcomes(server)
        if wrong == "lifespan" and project.kind == "wsgi":
            wrong = "raise"
        project.write(f"version {number}", wrong)
        if wrong:
            eventually(
                lambda before=failed: outcomes(server)[0] > before,
                f"edit {number}, {wrong}, is not served",
                timeout=60,
            )
            assert body(server) == good
        else:
            good = project.version
            serves(server, good)
            eventually(lambda before=done: outcomes(server)[1] > before, "all are new", timeout=60)


def outcomes(server: Server) -> tuple[int, int]:
    """How many changes have failed, and how many are served by all workers."""
    text = server.output
    return text.count("Not reloaded:") + text.count("Not replaced:"), text.count("Reloaded: all")


def edits_survive(kind: str, wrongs: list[str], directory: Path, *options: str) -> None:
    project = Project(directory, kind)
    project.write("first")
    with serve(*PLAIN, *options, cwd=directory) as server:
        with ExitStack() as open_ones:
            watching = open_ones.enter_context(clients(server))
            open_ones.enter_context(streaming(server, kind))
            edit(server, project, wrongs)
        assert (watching.refused, watching.failed) == (0, [])
        assert watching.answers
        assert server.is_running
        assert server.stop() == 0


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_edits_are_served_and_broken_ones_are_not(kind: str, tmp_path: Path) -> None:
    edits_survive(kind, FEW, tmp_path)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
@pytest.mark.parametrize("options", [(), ("--workers", "2"), ("--preload",)], ids=" ".join)
def test_fifty_edits(kind: str, options: tuple[str, ...], tmp_path: Path) -> None:
    wrongs = MANY
    if "--preload" in options:  # the startup is no part of what is tried before
        wrongs = [each.replace("lifespan", "raise") for each in MANY]
        wrongs = wrongs[:10]
    edits_survive(kind, wrongs, tmp_path, *options)


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[tuple[Server, Project]]:
    """A server that was started with broken code, which has changed a file before it fails: the
    change comes while what stands in for it starts."""
    project = Project(tmp_path, "asgi")
    project.write("broken", "import")
    broken = project.path.read_text()
    beside = "import pathlib; pathlib.Path('beside.py').write_text('')"
    project.path.write_text(f"{beside}\n{broken}")
    with serve(*PLAIN, cwd=tmp_path) as server:
        yield server, project


def test_a_first_start_with_broken_code_waits_for_the_mend(
    broken: tuple[Server, Project],
) -> None:
    server, project = broken
    assert "no_such_module_anywhere" in server.output
    assert "It is tried again once a file changes." in server.output
    assert body(server).startswith("The application does not start.")
    project.write("still", "syntax")
    server.wait_for_output("SyntaxError")
    assert server.is_running
    project.write("mended")
    serves(server, "mended")
    server.wait_for_output("The application starts now. It is ASGI 3 (coroutine function).")
    # What serves dies, and what is there does not start: the same again.
    project.write("broken", "raise")
    server.wait_for_output("RuntimeError")
    eventually(lambda: len(server.workers) == 2, "one worker and the watcher")
    os.kill(next(pid for pid in server.workers if not _is_watcher(pid)), signal.SIGKILL)
    eventually(lambda: body(server).startswith("The application does not start."), timeout=60)
    project.write("mended again")
    serves(server, "mended again")
    # So many edits of one file, so soon, are taken for the application's own: another one.
    done = outcomes(server)[1]
    project.path.with_name("beside.py").write_text("edited = True")
    eventually(lambda: outcomes(server)[1] > done, "all are new")
    # An import that never ends gives way to the next edit.
    project.path.write_text("while True: pass\n")
    eventually(lambda: len(server.workers) == 3, "a worker that starts")
    project.write("last")
    serves(server, "last")
    assert server.stop() == 0


def _is_watcher(pid: int) -> bool:
    return "watcher.py" in Path(f"/proc/{pid}/cmdline").read_text()


def test_the_watcher_comes_back_and_goes_with_the_master(tmp_path: Path) -> None:
    project = Project(tmp_path, "wsgi")
    project.write("first")
    with serve(*PLAIN, cwd=tmp_path) as server:
        [watcher] = filter(_is_watcher, eventually(lambda: children_of(server.pid)))
        os.kill(watcher, signal.SIGSTOP)
        project.write("meanwhile")  # it has no chance to see it
        os.kill(watcher, signal.SIGKILL)
        server.wait_for_output("is started again")
        serves(server, "meanwhile")
        rest = children_of(server.pid)
        assert watcher not in rest
        os.kill(server.pid, signal.SIGKILL)
        eventually(lambda: not any(map(is_alive, rest)), "no process is left")


@pytest.mark.long
def test_with_preload_the_server_is_replaced(tmp_path: Path) -> None:
    project = Project(tmp_path, "wsgi")
    project.write("first", "import")
    with serve(*PLAIN, "--preload", cwd=tmp_path) as server:
        assert body(server).startswith("The application does not start.")
        project.write("mended")
        serves(server, "mended")
        project.write("broken", "syntax")
        server.wait_for_output("Not replaced:", timeout=60)
        assert body(server) == "mended"
        project.write("again")
        serves(server, "again")
        assert server.stop() == 0


WRITES = """
from pathlib import Path
Path("generated.py").write_text("always = 'the same'")
VERSION = {version!r}
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [VERSION.encode()]
"""


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["", "preload"])
def test_what_the_application_writes_at_each_start_ends_no_loop(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "app.py"
    path.write_text(WRITES.format(version="first"))
    with serve(*PLAIN, *options, cwd=tmp_path) as server:
        # What a watcher has to say of its first look comes before what it says of an edit.
        for number, version in enumerate(("second", "third", "fourth"), 1):
            eventually(lambda done=number: outcomes(server)[1] >= done, "all are new", timeout=60)
            path.write_text(WRITES.format(version=version))
            serves(server, version)
        assert server.output.count("Changed: app.py") == 3
        assert server.output.count("Changed: generated.py") == 1
        assert server.stop() == 0


def test_what_the_application_writes_anew_at_each_start_keeps_it_from_no_start(
    tmp_path: Path,
) -> None:
    stamp = "import time; Path('stamp.py').write_text(f'AT = {{time.time()}}')\nVERSION"
    source = WRITES.replace("VERSION", stamp, 1)
    (tmp_path / "app.py").write_text(source.format(version="first"))
    with serve(*PLAIN, cwd=tmp_path) as server:
        server.wait_for_output("leave it out: --reload-exclude 'stamp.py'.")
        serves(server, "first")
        (tmp_path / "app.py").write_text(source.format(version="second"))
        serves(server, "second")
        assert server.stop() == 0


SCRIPT = """
import bare_serve, helper
if __name__ == "__main__":
    bare_serve.run("application:app", reload=True, error_page=False, bind="127.0.0.1:0")
"""
APPLICATION = """
import helper, lazily
def app(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/late":
        import late
        return [late.TEXT]
    return [helper.TEXT + lazily.TEXT]
"""


def test_what_the_program_around_has_imported_is_new_as_well(tmp_path: Path) -> None:
    """And modules that lie elsewhere, also those that a request imports."""
    directory, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    directory.mkdir()
    elsewhere.mkdir()
    files = {"script": SCRIPT, "application": APPLICATION, "helper": "TEXT = b'one '"}
    for name, text in files.items():
        (directory / f"{name}.py").write_text(text)
    (elsewhere / "lazily.py").write_text("TEXT = b'two'")
    (elsewhere / "late.py").write_text("TEXT = b'late'")
    command = [sys.executable, "script.py"]
    path = {"PYTHONPATH": f"{elsewhere}:{Path(__file__).parents[2]}", "BARE_SERVE_PORT": ""}
    bound = {"BARE_SERVE_THREADS": "2", "PORT": "0"}
    with serve(cwd=directory, env={**path, **bound}, command=command) as server:
        assert body(server) == "one two"
        (directory / "helper.py").write_text("TEXT = b'1 '")
        serves(server, "1 two")
        server.wait_for_output("Replacing the server")
        (elsewhere / "lazily.py").write_text("TEXT = b'2'")
        serves(server, "1 2")
        assert body(server, "/late") == "late"
        (elsewhere / "late.py").write_text("TEXT = b'later'")

        def is_later() -> bool:  # it is watched from the tick on after that request
            return body(server, "/late") == "later"

        eventually(is_later, timeout=60)
        assert server.stop() == 0


def test_each_way_to_be_broken_is_one() -> None:
    assert {*FEW, *MANY} - {""} <= BROKEN.keys()
    assert (len(MANY), MANY.count("syntax")) == (50, 10)
    assert (MANY.count("import"), MANY.count("lifespan")) == (5, 5)
