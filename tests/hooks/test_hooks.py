"""--hooks: who is called, when, with what; and that no mistake in one harms the server."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from bare_serve.errors import UsageError
from bare_serve.hooks.loading import NAMES, Hooks, MasterFacts, load_hooks
from tests.support import RawClient, eventually, run_cli, serve

APP = """
import sys
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"ok"]
print("imported by", "master" if "bare_serve_hooks_seen" in sys.modules else "worker")
"""
ALL = "import os\nimport sys\n" + "\n".join(
    f"""
def {name}(facts):
    with open("story", "a") as story:
        print({name!r}, os.getpid(), facts, "app" in sys.modules, file=story)
"""
    for name in NAMES
)


def told(directory: Path) -> list[tuple[str, int, str]]:
    path = directory / "story"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(name, int(pid), rest) for name, pid, rest in (line.split(" ", 2) for line in lines)]


@pytest.mark.parametrize("how", ["my_hooks", "my_hooks.py"])
def test_the_life_of_a_server(how: str, tmp_path: Path) -> None:
    (tmp_path / "my_hooks.py").write_text(ALL)
    with serve("app:app", "--hooks", how, source=APP, cwd=tmp_path) as server:
        eventually(lambda: [n for n, *_ in told(tmp_path)].count("worker_ready") == 1)
        [old] = server.workers
        server.send_signal(signal.SIGHUP)
        server.wait_for_output("Reloaded", 30)
        eventually(lambda: old not in server.workers)
        [new] = server.workers
        eventually(lambda: [n for n, *_ in told(tmp_path)].count("worker_exit") == 1)
        eventually(lambda: [n for n, *_ in told(tmp_path)].count("worker_ready") == 2)
        os.kill(new, signal.SIGKILL)
        eventually(lambda: [n for n, *_ in told(tmp_path)].count("worker_ready") == 3)
        [last] = server.workers
        assert server.stop() == 0
        story = told(tmp_path)
        master = server.pid
    by_process = {
        pid: [name for name, who, _ in story if who == pid] for pid in (master, old, new, last)
    }
    assert by_process == {
        master: ["on_starting", "on_reload", *["child_exit"] * 3, "on_exit"],
        old: ["post_fork", "worker_ready", "worker_exit"],
        new: ["post_fork", "worker_ready"],
        last: ["post_fork", "worker_ready", "worker_exit"],
    }
    ends = [rest.rpartition(" ")[0] for name, _, rest in story if name == "child_exit"]
    assert ends == [
        f"ExitFacts(master_pid={master}, pid={pid}, number=1, reason={reason!r}, how={how!r})"
        for pid, reason, how in (
            (old, "reload", "exited with code 0"),
            (new, "killed", "was killed by SIGKILL, not by this server"),
            (last, "asked", "exited with code 0"),
        )
    ]
    starting = story[0][2]
    assert f"MasterFacts(pid={master}, target='app:app', addresses=('http://127.0.0.1:" in starting
    assert f"WorkerFacts(pid={old}, master_pid={master}, number=1, target='app:app')" in story[1][2]
    imported = {(name, rest.rpartition(" ")[2]) for name, who, rest in story if who == master}
    assert {seen for _, seen in imported} == {"False"}, "the master never imports the application"


@pytest.mark.parametrize("how", ["shop.hooks", "shop/hooks.py"])
def test_hup_loads_the_package_of_the_hooks_anew(how: str, tmp_path: Path) -> None:
    package = tmp_path / "shop"
    package.mkdir()
    (package / "hooks.py").write_text("from shop import models\ndef on_exit(facts): pass\n")
    (package / "wsgi.py").write_text(
        "from shop import VERSION, models\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [f'{VERSION} {models.VERSION}'.encode()]\n"
    )

    def write(version: str) -> None:
        for name in ("__init__", "models"):
            (package / f"{name}.py").write_text(f"VERSION = {version!r}\n")

    write("old")
    with serve("shop.wsgi:app", "--hooks", how, cwd=tmp_path) as server:
        write("much newer")
        server.send_signal(signal.SIGHUP)
        server.wait_for_output("Reloaded", 30)

        def new_code() -> bool:  # for a moment the worker before may still accept
            with RawClient(server.address) as client:
                return client.request().body == b"much newer much newer"

        eventually(new_code)
        assert server.stop() == 0


def test_what_is_installed_below_the_directory_is_not_imported_twice(tmp_path: Path) -> None:
    place = tmp_path / "venv" / "site-packages"
    place.mkdir(parents=True)
    (place / "installed_there.py").write_text("")
    (tmp_path / "beside_it.py").write_text("")
    (tmp_path / "my.py").write_text(
        f"import sys\nsys.path.append({str(place)!r})\nimport beside_it, installed_there\n"
        "def on_exit(facts): return beside_it, installed_there\n"
    )

    def load() -> Any:
        return load_hooks("my", tmp_path).functions["on_exit"](None)  # type: ignore[arg-type]

    path = [*sys.path]
    try:
        (own, installed), (own_again, installed_again) = load(), load()
        assert own is not own_again
        assert installed is installed_again
        (tmp_path / "my.py").write_text("import beside_it\n1 / 0\n")
        with pytest.raises(UsageError, match="ZeroDivisionError"):
            load_hooks("my", tmp_path)
        assert sys.modules["beside_it"] is own_again, "one that fails changes nothing"
    finally:
        sys.path[:] = path
        for name in ("my", "beside_it", "installed_there"):
            sys.modules.pop(name, None)


def test_a_hook_that_fails_is_shown_and_harms_nobody(tmp_path: Path) -> None:
    (tmp_path / "hooks.py").write_text(
        "".join(f"def {name}(facts):\n    raise {kind}('{name} is broken')\n" for name, kind in
                zip(NAMES, ("ValueError", "SystemExit") * 4, strict=False))
    )  # fmt: skip
    with serve("app:app", "--hooks", "hooks.py", source=APP, cwd=tmp_path) as server:
        with RawClient(server.address) as client:
            assert client.request().status == 200
        server.send_signal(signal.SIGHUP)
        server.wait_for_output("Reloaded", 30)
        assert server.stop() == 0
        for name in NAMES:
            assert f"The hook {name} failed" in server.stderr
            assert f"{name} is broken" in server.stderr
        assert f'File "{tmp_path}/hooks.py", line 2, in on_starting' in server.stderr
        assert "bare_serve/hooks/loading.py" not in server.stderr, "its own traceback, not ours"


MISTAKES = [
    ("", "it defines none of on_starting"),
    ("def on_start(facts): pass", "there is no hook on_start; did you mean on_starting?"),
    ("def on_zzz(facts): pass", "there is no hook on_zzz; there are on_starting"),
    ("def when_ready(server): pass", "when_ready is a hook of gunicorn; use worker_ready"),
    ("def worker_abort(worker): pass", "worker_abort is a hook of gunicorn; use child_exit"),
    ("def child_exit(server, worker): pass", "child_exit must take one argument, the facts"),
    ("def child_end(facts): pass", "there is no hook child_end; did you mean child_exit?"),
    ("def pre_request(a, b): pass", "pre_request is a hook of gunicorn; there is nothing like it"),
    ("def post_fork(server, worker): pass", "post_fork must take one argument, the facts"),
    ("async def on_exit(facts): pass", "on_exit must be a plain function, not async"),
    ("1 / 0", "failed while it was imported:\nTraceback"),
    ("import nothing_of_that_name", "No module named 'nothing_of_that_name'"),
]


@pytest.mark.parametrize(("source", "message"), MISTAKES)
def test_a_mistake_is_told_at_the_start(source: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "hooks.py").write_text(source)
    with pytest.raises(UsageError) as error:
        load_hooks("hooks.py", tmp_path)
    assert str(error.value).startswith("--hooks hooks.py")
    assert message in str(error.value)


@pytest.mark.parametrize("text", ["failing_hooks.py", "failing_hooks"])
def test_a_failure_shows_the_frames_of_the_hooks_alone(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "failing_hooks.py").write_text("1 / 0")
    with pytest.raises(UsageError) as error:
        load_hooks(text, tmp_path)
    frames = re.findall(r'File "(.*?)"', str(error.value))
    assert frames == [str(tmp_path / "failing_hooks.py")]


def test_what_is_not_there_ends_the_command(tmp_path: Path) -> None:
    for text in ("no_such_hooks", "no/such.py"):
        done = run_cli("--demo", "--port", "0", "--hooks", text, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "no/such.py" in done.stderr or "there is no module 'no_such_hooks'" in done.stderr


def test_without_hooks_nothing_is_called() -> None:
    facts = MasterFacts(pid=os.getpid(), target="", addresses=(), workers=1)
    assert load_hooks(None, Path()) == Hooks()
    Hooks().call("on_exit", facts)
