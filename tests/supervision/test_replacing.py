"""USR2 replaces the server in place, HUP does so with --preload; settings are read again by HUP."""

from __future__ import annotations

import os
import shutil
import signal
import urllib.request
from pathlib import Path

import pytest

from tests.support import Server, eventually, serve
from tests.support.processes import BANNER_URL, COMMAND

APP = """
import os
VERSION = "{version}"
def app(environ, start_response):
    start_response("200 OK", [])
    return [f"{{VERSION}} {{os.getpid()}}".encode()]
"""


def _answer(server: Server) -> str:
    with urllib.request.urlopen(server.url, timeout=10) as answer:
        return str(answer.read().decode())


def _version(server: Server, version: str) -> None:
    eventually(lambda: _answer(server).startswith(f"{version} "), f"version {version}")


def _reloaded(server: Server, times: int = 1) -> None:
    eventually(lambda: server.stderr.count("Reloaded: all workers are new.") >= times, "reload", 30)


def _write(path: Path, version: str) -> None:
    (path / "app.py").write_text(APP.format(version=version))


@pytest.mark.parametrize(
    ("options", "signum"), [((), signal.SIGUSR2), (("--preload",), signal.SIGHUP)]
)
def test_new_code_is_served_by_the_same_process_on_the_same_sockets(
    tmp_path: Path, options: tuple[str, ...], signum: int
) -> None:
    _write(tmp_path, "old")
    uds = tmp_path / "sock"
    binds = ("-b", "127.0.0.1:0", "-b", f"unix:{uds}")
    with serve("app:app", "-w", "2", *binds, *options, cwd=tmp_path) as server:
        eventually(lambda: "All 2 workers are ready." in server.stderr)
        _version(server, "old")
        inode = uds.stat().st_ino
        fds = sorted(os.listdir(f"/proc/{server.pid}/fd"))
        for number, version in enumerate(["second", "third"], 1):
            _write(tmp_path, version)
            server.send_signal(signum)
            _reloaded(server, number)
            _version(server, version)
        assert uds.stat().st_ino == inode
        # A worker that has ended has a pipe until it is reaped.
        eventually(lambda: len(os.listdir(f"/proc/{server.pid}/fd")) == len(fds))
        assert server.stop() == 0
    assert not uds.exists()


@pytest.mark.parametrize(
    ("options", "signum"),
    [((), signal.SIGUSR2), (("--preload",), signal.SIGHUP), (("--preload",), signal.SIGUSR2)],
)
def test_code_that_does_not_load_is_found_out_before(
    tmp_path: Path, options: tuple[str, ...], signum: int
) -> None:
    _write(tmp_path, "old")
    with serve("app:app", "-w", "2", *options, cwd=tmp_path) as server:
        eventually(lambda: "All 2 workers are ready." in server.stderr)
        workers = server.workers
        (tmp_path / "app.py").write_text("import no_such_module_at_all\n")
        server.send_signal(signum)
        server.wait_for_output("Not replaced: the new server does not start.")
        assert "No module named 'no_such_module_at_all'" in server.output
        assert server.workers == workers
        _version(server, "old")
        _write(tmp_path, "mended")
        server.send_signal(signum)
        _reloaded(server)
        _version(server, "mended")
        assert server.stop() == 0


def test_workers_that_were_added_are_kept_and_a_stop_meanwhile_is_heard(tmp_path: Path) -> None:
    _write(tmp_path, "old")
    with serve("app:app", cwd=tmp_path) as server:
        server.send_signal(signal.SIGTTIN)
        eventually(lambda: len(server.workers) == 2)
        server.send_signal(signal.SIGUSR2)
        _reloaded(server)
        eventually(lambda: len(server.workers) == 2)
        server.send_signal(signal.SIGUSR2)
        assert server.stop() == 0


def test_captured_output_is_still_apart_from_the_access_log(tmp_path: Path) -> None:
    _write(tmp_path, "old")
    options = ("--preload", "--capture-output", "--error-log", "error.log")
    with serve("app:app", *options, cwd=tmp_path, ready=False) as server:
        log = tmp_path / "error.log"  # the banner is captured as well
        banner = eventually(lambda: BANNER_URL.search(log.read_text()) if log.exists() else None)
        server.url = banner[0]
        _write(tmp_path, "mended")
        server.send_signal(signal.SIGHUP)
        eventually(lambda: "Reloaded: all workers are new." in log.read_text(), "reload", 30)
        _version(server, "mended")
        server.wait_for_output("GET / HTTP")
        assert "GET / HTTP" in server.stdout
        assert "GET / HTTP" not in log.read_text()
        assert server.stop() == 0


def test_reloads_leave_no_descriptors_behind(tmp_path: Path) -> None:
    _write(tmp_path, "old")
    with serve("app:app", "--capture-output", cwd=tmp_path) as server:
        before = len(os.listdir(f"/proc/{server.pid}/fd"))
        for number in (1, 2, 3):
            _configure(tmp_path, f'header = ["X-Age: {number}"]\n')
            server.send_signal(signal.SIGHUP)
            _reloaded(server, number)
            eventually(lambda: len(server.workers) == 1)
        # The pipes of workers that have gone are closed a moment later.
        eventually(lambda: len(os.listdir(f"/proc/{server.pid}/fd")) <= before)
        assert server.stop() == 0


def test_preload_imports_once(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "import os\nprint('imported by', os.getpid(), flush=True)\n" + APP.format(version="x")
    )
    with serve("app:app", "-w", "3", "--preload", "--no-access-log", cwd=tmp_path) as server:
        eventually(lambda: "All 3 workers are ready." in server.stderr)
        assert server.stdout == f"imported by {server.pid}\n"
        assert server.stop() == 0


WAITS = """
import time
from pathlib import Path
Path("importing").touch()
while not Path("go").exists():
    time.sleep(0.005)
"""


def test_a_stop_while_the_application_is_preloaded_cleans_up(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(WAITS + APP.format(version="x"))
    uds, pid = tmp_path / "sock", tmp_path / "pid"
    options = ("--preload", "--pid", str(pid), "-b", f"unix:{uds}")
    with serve("app:app", *options, cwd=tmp_path, ready=False) as server:
        eventually((tmp_path / "importing").exists)
        assert uds.exists()
        assert pid.exists()
        assert server.stop() == 0
    assert not uds.exists()
    assert not pid.exists()


@pytest.mark.parametrize("command", [COMMAND, ("nohup", *COMMAND)], ids=["", "nohup"])
def test_a_reload_while_the_application_is_preloaded_waits(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "app.py").write_text(WAITS + APP.format(version="x"))
    with serve("app:app", "--preload", cwd=tmp_path, ready=False, command=command) as server:
        eventually((tmp_path / "importing").exists)
        server.send_signal(signal.SIGHUP)
        server.send_signal(signal.SIGTTIN)
        (tmp_path / "go").touch()
        server.wait_until_ready()
        server.wait_for_output("Replacing the server by a new one")
        _reloaded(server)
        assert server.stop() == 0


def test_preload_that_fails_is_a_failed_boot(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("raise RuntimeError('kaputt')\n")
    with serve("app:app", "--preload", cwd=tmp_path, ready=False) as server:
        assert server.wait() == 3
        assert "RuntimeError: kaputt" in server.output


def _configure(path: Path, text: str) -> None:
    (path / "pyproject.toml").write_text(f"[tool.bare-serve]\n{text}")


def test_settings_are_read_again(tmp_path: Path) -> None:
    _write(tmp_path, "old")
    _configure(tmp_path, 'workers = 1\nheader = ["X-Age: old"]\n')
    with serve("app:app", cwd=tmp_path) as server:
        _configure(tmp_path, 'workers = 2\nheader = ["X-Age: new"]\numask = "027"\n')
        server.send_signal(signal.SIGHUP)
        _reloaded(server)
        eventually(lambda: len(server.workers) == 2)
        with urllib.request.urlopen(server.url, timeout=10) as answer:
            assert answer.headers["X-Age"] == "new"
        said = next(line for line in server.stderr.splitlines() if "settings are new" in line)
        assert "workers 2 (was 1)" in said
        assert "header X-Age: new (was X-Age: old)" in said
        assert "Only SIGUSR2 or a restart changes these: umask." in server.stderr
        assert server.stop() == 0


def test_settings_that_are_wrong_change_nothing(tmp_path: Path) -> None:
    _write(tmp_path, "old")
    _configure(tmp_path, "workers = 1\n")
    with serve("app:app", cwd=tmp_path) as server:
        workers = server.workers
        _configure(tmp_path, "workers = 'many'\n")
        server.send_signal(signal.SIGHUP)
        server.wait_for_output("Not reloaded: the workers there were go on.")
        assert "'many' is not a whole number" in server.stderr
        assert server.workers == workers
        assert server.stop() == 0


def test_settings_that_are_refused_late_change_nothing_either(tmp_path: Path) -> None:
    _write(tmp_path, "old")
    (tmp_path / "other.py").write_text(APP.format(version="other"))
    _configure(tmp_path, 'app = "app:app"\n')
    with serve(cwd=tmp_path) as server:
        [worker] = server.workers
        _configure(tmp_path, 'app = "other:app"\naccess-log = "/no/such/directory/log"\n')
        server.send_signal(signal.SIGHUP)
        server.wait_for_output("Not reloaded: the workers there were go on.")
        os.kill(worker, signal.SIGTERM)
        eventually(lambda: server.workers not in ([worker], []), "a new worker")
        _version(server, "old")
        assert server.stop() == 0


def test_trial_finds_what_would_end_the_service(tmp_path: Path) -> None:
    _write(tmp_path, "old")
    foreign = tmp_path / "foreign.pid"
    foreign.write_text(f"{os.getpid()}\n")
    bind = 'bind = "127.0.0.1:0"\n'
    _configure(tmp_path, bind)
    with serve("app:app", cwd=tmp_path, env={"BARE_SERVE_BIND": ""}) as server:
        workers = server.workers
        reasons = {
            f"{bind}proxy-protocol = true": "needs --forwarded-allow-ips",
            f'{bind}access-log = "/no/such/directory/log"': "cannot write to",
            f"{bind}workers = 0": "stop it and start it anew",
            f'{bind}pid = "{foreign}"': "which runs",
            f'bind = "0.0.0.0:{server.port}"': "it is in use",
        }
        for count, (text, reason) in enumerate(reasons.items(), 1):
            _configure(tmp_path, text)
            server.send_signal(signal.SIGUSR2)
            eventually(lambda n=count: server.stderr.count("Not replaced:") == n, reason, 30)
            assert reason in server.stderr
        assert server.workers == workers
        _version(server, "old")
        assert server.stop() == 0


def test_env_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "env"
    (tmp_path / "app.py").write_text(
        "import os\ndef app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    told = [os.environ.get(name) for name in ('SHOP', 'GONE', 'KEPT')]\n"
        "    return [str(told).encode()]\n"
        "os.environ.setdefault('SHOP', 'by the application')\n"
    )
    path.write_text("BARE_SERVE_HEADER='X-A: 0'\nSHOP=0\nGONE=0\nKEPT=0\n")
    env = {"KEPT": "from outside"}
    with serve("app:app", "--env-file", "env", cwd=tmp_path, env=env) as server:
        for number, signum in enumerate((signal.SIGHUP, signal.SIGUSR2), 1):
            path.write_text(f"BARE_SERVE_HEADER='X-A: {number}'\nSHOP={number}\nKEPT=0\n")
            server.send_signal(signum)
            _reloaded(server, number)
            eventually(lambda n=number: _answer(server) == f"['{n}', None, 'from outside']")
            eventually(lambda: len(server.workers) == 1, "the old worker has left")
            with urllib.request.urlopen(server.url, timeout=10) as answer:
                assert answer.headers["X-A"] == str(number)
        assert server.stop() == 0


def test_what_a_preloaded_application_put_there_is_not_handed_over(tmp_path: Path) -> None:
    source = "import os\nos.environ.setdefault('SHOP', '{version}')\n" + APP.replace(
        "{{VERSION}}", "{{os.environ['SHOP']}}"
    )
    (tmp_path / "app.py").write_text(source.format(version="old"))
    with serve("app:app", "--preload", cwd=tmp_path) as server:
        (tmp_path / "app.py").write_text(source.format(version="new"))
        server.send_signal(signal.SIGHUP)
        _reloaded(server)
        _version(server, "new")
        assert server.stop() == 0


@pytest.mark.parametrize("signum", [signal.SIGHUP, signal.SIGUSR2])
def test_directory_that_is_gone_is_an_error_and_no_more(
    tmp_path: Path, signum: signal.Signals
) -> None:
    release = tmp_path / "release"
    release.mkdir()
    _write(release, "old")
    with serve("app:app", cwd=release) as server:
        shutil.rmtree(release)
        server.send_signal(signum)
        server.wait_for_output("Not re")
        assert "cannot tell the current directory" in server.stderr
        _version(server, "old")
        assert server.stop() == 0


def test_release_behind_a_link_is_followed(tmp_path: Path) -> None:
    for version in ("old", "new"):
        (tmp_path / version).mkdir()
        _write(tmp_path / version, version)
    current = tmp_path / "current"
    current.symlink_to("old")
    with serve("app:app", cwd=current, env={"PWD": str(current)}) as server:
        _version(server, "old")
        current.unlink()
        current.symlink_to("new")
        server.send_signal(signal.SIGHUP)
        _reloaded(server)
        _version(server, "new")
        assert server.stop() == 0


def test_access_log_is_reopened(tmp_path: Path) -> None:
    _write(tmp_path, "x")
    log, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    with serve("app:app", "--access-log", str(log), cwd=tmp_path) as server:
        _answer(server)
        eventually(lambda: log.read_text().count("GET") == 1)
        log.rename(moved)
        server.send_signal(signal.SIGUSR1)
        eventually(log.exists)
        before = 1

        def a_line_arrives() -> bool:
            _answer(server)
            return log.read_text().count("GET") > 0

        eventually(a_line_arrives)
        server.send_signal(signal.SIGHUP)  # who is born later writes to the new file as well
        _reloaded(server)
        written = moved.read_text().count("GET")
        _answer(server)
        assert server.stop() == 0
        assert before <= written == moved.read_text().count("GET")


def test_worker_that_is_still_importing_reopens_the_access_log_when_it_is_ready(
    tmp_path: Path,
) -> None:
    _write(tmp_path, "old")
    log, moved, gate = (tmp_path / name for name in ("access.log", "access.log.1", "gate"))
    os.mkfifo(gate)
    with serve("app:app", "--access-log", str(log), cwd=tmp_path) as server:
        slow = f"import pathlib; pathlib.Path({str(gate)!r}).read_text()\n" + APP.format(
            version="slow"
        )
        (tmp_path / "app.py").write_text(slow)
        server.send_signal(signal.SIGHUP)
        with gate.open("w"):  # returns once the new worker waits at the other end
            log.rename(moved)
            server.send_signal(signal.SIGUSR1)
            server.wait_for_output("Log files are reopened.")
        _reloaded(server)
        eventually(lambda: len(server.workers) == 1)

        def a_line_arrives() -> bool:
            assert _answer(server).startswith("slow ")
            return "GET" in log.read_text()

        eventually(a_line_arrives)  # within a second
        before = moved.read_text()
        assert _answer(server)
        assert server.stop() == 0
        assert moved.read_text() == before
