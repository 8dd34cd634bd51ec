"""`bare-serve status`, `stacks`, `reload`, `replace` and `stop` on servers without any option."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bare_serve.cli.verbs import command as verbs
from bare_serve.cli.verbs import servers
from bare_serve.cli.verbs.command import NoServer
from bare_serve.cli.verbs.control import outcome_of_reload
from bare_serve.counts import layout
from bare_serve.counts.layout import Layout
from bare_serve.counts.records import Event
from bare_serve.counts.snapshot import Unreadable
from tests.support import RawClient, Server, clean_environment, eventually, halt, run_cli, serve

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memfd_create(2), /proc")

APP = (Path(__file__).parent / "verbs_app.py").read_text("utf-8")
NOBODY = 65534
HURRY = ("--timeout-graceful-shutdown", "0.2", "--access-log", "off")
PATIENT = ("--timeout-graceful-shutdown", "10", "--access-log", "off")


@contextmanager
def server(kind: str, *args: str, grace: Sequence[str] = HURRY) -> Iterator[Server]:
    with serve(f"app:{kind}", *grace, *args, source=APP) as running:
        yield running


def get(running: Server, path: str = "/") -> bytes:
    with RawClient(running.address) as client:
        client.send(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
        return client.read_to_eof()


def verb(running: Server, *words: str) -> subprocess.CompletedProcess[str]:
    return run_cli(words[0], *words[1:], str(running.pid))


def asked_here(running: Server, *words: str) -> tuple[int, str]:
    """Exit code and output of a verb in this process, for what is asked again and again."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        code = verbs.run([*words, str(running.pid)])
    return code, said.getvalue()


def status(running: Server) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(asked_here(running, "status", "--json")[1])["servers"][0]
    return value


def marked(running: Server) -> bool:
    return Path(f"/proc/{running.pid}/cwd/mark").exists()


@pytest.mark.parametrize(("kind", "path"), [("wsgi", "/sleep"), ("asgi", "/await")])
def test_status_tells_what_is_counted_and_what_is_in_flight(kind: str, path: str) -> None:
    with server(kind, "--workers", "2") as running, RawClient(running.address) as client:
        for _ in range(3):
            assert get(running).endswith(b"ok\n")
        client.send(f"GET {path}?a=1 HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        eventually(lambda: marked(running), "the call")

        def whole() -> dict[str, Any] | None:
            value = status(running)
            told = [each for worker in value["workers"] for each in worker["flight"]]
            return value if told and value["counters"]["requests"] == 4 else None

        found = eventually(whole, "four requests, and the one in flight")
        assert (
            found["counters"]["durations"]["2xx"]["buckets"][0]
            + sum(found["counters"]["durations"]["2xx"]["buckets"][1:])
            == 3
        )
        assert found["counters"]["bytes_out"] == 9
        assert found["serving"] == 2
        assert found["master"]["facts"]["target"] == f"app:{kind}"
        assert found["master"]["facts"]["settings"]["workers"] == "2"
        [flight] = [each for worker in found["workers"] for each in worker["flight"]]
        assert flight["request"] == f"GET {path}?a=1"
        assert flight["where"].startswith("app.py:")
        assert flight["where"].endswith(("wait_in_a_thread", "wait_for_nothing"))
        assert 0 < flight["age"] < 60
        text = verb(running, "status")
        assert text.returncode == 0
        assert "2 of 2 workers serve" in text.stdout
        assert f"GET {path}?a=1" in text.stdout
        assert max(map(len, text.stdout.splitlines())) <= 80


def held(pid: int) -> list[str]:
    """What a process has open, but for the text of programs.

    A report that a loop is blocked reads that, and a thread that does has the file open until the
    call that holds the interpreter lets it go on.
    """
    links = []
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.append(str(each.readlink()))
    return sorted(link for link in links if not link.endswith(".py"))


@pytest.mark.parametrize(
    ("kind", "path", "function"),
    [
        ("wsgi", "/sleep", "wait_in_a_thread"),
        ("wsgi", "/regex", "hold_the_interpreter"),
        ("asgi", "/await", "wait_for_nothing"),
        ("asgi", "/regex", "hold_the_interpreter"),
    ],
)
def test_stacks_show_the_line_of_the_application(kind: str, path: str, function: str) -> None:
    with server(kind) as running, RawClient(running.address) as client:
        client.send(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        eventually(lambda: marked(running), "the call")
        found = verb(running, "stacks")
        assert found.returncode == 0
        marks = [line for line in found.stdout.splitlines() if line.startswith("   > ")]
        assert "app.py:" in marks[0]
        assert marks[0].endswith(f" in {function}")
        assert "click" not in found.stdout
        # Nothing is left behind, and nothing is harmed.
        [worker] = running.workers
        before = held(worker)
        for _ in range(3):
            assert asked_here(running, "stacks", "--json")[0] == 0
        eventually(lambda: held(worker) == before, "what was open before")


def test_a_worker_that_is_stopped_is_said_to_be() -> None:
    with server("wsgi") as running:
        [worker] = running.workers
        halt(worker)
        try:
            found = verb(running, "stacks")
        finally:
            os.kill(worker, signal.SIGCONT)
        assert found.returncode == 1
        assert "no stacks: its process is stopped" in found.stdout


def test_connections_that_nobody_accepts_are_told() -> None:
    with server("wsgi") as running:
        address = "{}:{}".format(*running.address)
        if address not in status(running)["listen_queues"]:
            pytest.skip("this kernel has no sock_diag")
        [worker] = running.workers
        halt(worker)
        try:
            with RawClient(running.address), RawClient(running.address):
                assert status(running)["listen_queues"][address]["waiting"] == 2
                assert "  not accepted 2/" in verb(running, "status").stdout
        finally:
            os.kill(worker, signal.SIGCONT)


def test_reload_and_replace_tell_the_outcome() -> None:
    with server("wsgi", "--workers", "2", grace=PATIENT) as running:
        running.wait_for_output("All 2 workers are ready")
        first = running.workers
        done = verb(running, "reload")
        assert (done.returncode, done.stdout) == (0, "Reloaded: all workers are new.\n")
        eventually(lambda: not {*first} & {*running.workers}, "new workers")
        before = {each["number"]: each["pid"] for each in status(running)["workers"]}
        done = verb(running, "replace", "2")
        assert done.returncode == 0
        assert done.stdout.startswith("Worker 2 is replaced by process ")
        after = eventually(
            lambda: found if len(found := status(running)["workers"]) == 2 else None, "two"
        )
        assert after[0]["pid"] == before[1]
        assert after[1]["pid"] != before[2]
        refused = verb(running, "replace", "9")
        assert refused.returncode == 1
        assert "there is no worker 9 that serves; there are: 1, 2." in refused.stderr
        app = Path(f"/proc/{running.pid}/cwd/app.py")
        app.write_text("no python")
        failed = verb(running, "reload", "--json")
        assert failed.returncode == 1
        said = json.loads(failed.stdout)
        assert said["done"] is False
        assert said["text"].startswith("Not reloaded: ")
        failed = verb(running, "replace", "1")
        assert failed.returncode == 1
        assert failed.stdout.startswith("Worker 1 goes on: ")
        found = status(running)
        assert found["master"]["last_reload"] == "not reloaded"
        assert found["master"]["worker_exits"]["reload"] == 2
        assert found["master"]["worker_exits"]["replaced"] == 1
        assert get(running).endswith(b"ok\n")
        done = verb(running, "stop")
        assert (done.returncode, running.wait()) == (0, 0)


def _event(kind: str, text: str = "") -> Event:
    return Event(number=1, at=0.0, kind=kind, worker=0, pid=0, reason="", text=text)


@pytest.mark.parametrize(
    ("kinds", "done"),
    [
        (["reloading", "worker ready", "reloaded"], True),
        (["reloaded", "reloading", "not reloaded"], False),
        (["not reloaded", "reloading", "reloaded"], True),
        (["reloaded", "stopping"], False),
        (["reloaded"], False),
    ],
)
def test_the_end_of_a_reload_before_is_not_that_of_this_one(kinds: list[str], done: bool) -> None:
    assert outcome_of_reload(map(_event, kinds))["done"] is done


def test_a_reload_with_bad_settings_is_one_that_has_begun_and_failed(tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text("[tool.bare-serve]\n")
    args = (*PATIENT, "--config", str(project))
    with serve("app:wsgi", *args, source=APP) as running:
        project.write_text("[tool.bare-serve]\nworkers = 'many'\n")
        failed = verb(running, "reload")
        assert (failed.returncode, failed.stdout[:14]) == (1, "Not reloaded: ")
        kinds = [event["kind"] for event in status(running)["history"]]
        assert kinds[-2:] == ["reloading", "not reloaded"]


def test_a_server_that_stops_takes_no_orders() -> None:
    with server("wsgi", "--drain-delay", "60") as running:
        running.send_signal(signal.SIGTERM)
        eventually(lambda: status(running)["master"]["state"] == "stopping", "the stop")
        for words in (("reload",), ("replace", "1")):
            refused = verb(running, *words)
            assert refused.returncode == 1
            assert f"server {running.pid} stops: it starts no worker any more." in refused.stderr
        running.send_signal(signal.SIGTERM)
        assert running.wait() == 0


def test_status_is_degraded_while_a_worker_is_missing() -> None:
    with server("wsgi", "--workers", "2", "--max-lifetime", "0") as running:
        running.wait_for_output("All 2 workers are ready")
        os.kill(running.workers[0], signal.SIGSTOP)
        eventually(lambda: asked_here(running, "status")[0] == 1, "a silent worker", timeout=30)
        found = verb(running, "status")
        assert found.returncode == 1
        assert "1 of 2 workers serve" in found.stdout
        assert " silent " in found.stdout
        assert "no sign of life for " in found.stdout
        os.kill(running.workers[0], signal.SIGCONT)


def test_a_server_without_a_master_is_looked_at_as_well() -> None:
    with serve("app:wsgi", "--workers", "0", *HURRY, source=APP) as running:
        assert get(running).endswith(b"ok\n")
        text = verb(running, "status")
        assert text.returncode == 0
        assert "served in one process" in text.stdout
        assert verb(running, "stacks").returncode == 0
        refused = verb(running, "reload")
        assert refused.returncode == 1
        assert "--workers 0 reloads nothing" in refused.stderr
        assert verb(running, "stop").returncode == 0
        assert running.wait() == 0


def test_without_counts_the_rest_is_told() -> None:
    with server("wsgi", "--no-counts") as running:
        assert get(running).endswith(b"ok\n")
        found = status(running)
        assert found["workers"][0]["published_for"] is None
        assert found["counters"]["requests"] == 0
        text = verb(running, "status")
        assert text.returncode == 0
        assert "nothing else is counted (--no-counts)" in text.stdout
        assert "2xx" not in text.stdout


def test_a_replacement_goes_on_with_the_counters_and_the_history() -> None:
    with server("wsgi", grace=PATIENT) as running:
        for _ in range(5):
            get(running)
        eventually(lambda: status(running)["counters"]["requests"] == 5, "the requests")
        running.send_signal(signal.SIGUSR2)
        running.wait_for_output("Reloaded: all workers are new", timeout=30)
        get(running)
        found = eventually(
            lambda: value if (value := status(running))["counters"]["requests"] == 6 else None,
            "one more",
        )
        assert found["master"]["generation"] == 2
        kinds = [event["kind"] for event in found["history"]]
        assert kinds[:3] == ["started", "worker started", "worker ready"]
        assert "replaced" in kinds
        assert kinds.count("reloaded") == 1
        assert found["counters"]["durations"]["2xx"]["seconds"] > 0


def test_signals_that_nobody_has_asked_for_harm_nobody() -> None:
    with server("wsgi") as running:
        [worker] = running.workers
        for signum in range(signal.SIGRTMIN, signal.SIGRTMIN + 6):
            running.send_signal(signum)
        for signum in (signal.SIGRTMIN + 2, signal.SIGRTMIN + 3):
            os.kill(worker, signum)
        assert get(running).endswith(b"ok\n")
        assert running.workers == [worker]
        assert status(running)["serving"] == 1


def test_what_names_no_server_is_said(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.pid"
    nothing.write_text("none\n")
    me = str(os.getpid())
    for words, code, said in (
        ((me,), 3, f"process {me}, which you have named, is no server of bare-serve."),
        (("999999999",), 3, "does not exist"),
        (("abc",), 2, "'abc' is no pid"),
        (("--pidfile", str(tmp_path / "missing")), 3, "cannot be read: No such file"),
        (("--pidfile", str(nothing)), 3, "there is no pid in the file"),
        (("--pidfile", str(nothing), me), 2, "not both"),
        (("--what",), 2, "unrecognized arguments: --what"),
    ):
        found = run_cli("status", *words)
        assert found.returncode == code, words
        assert said in found.stderr
        assert "Traceback" not in found.stderr
    with server("wsgi", "--pid", str(tmp_path / "pid")) as running:
        found = run_cli("status", str(running.workers[0]))
        assert found.returncode == 3
        assert f"but a child of one: its master has the pid {running.pid}." in found.stderr
        assert run_cli("status", "--pidfile", str(tmp_path / "pid")).returncode == 0


def test_a_target_of_a_verbs_name_is_served() -> None:
    with serve("status:wsgi", *HURRY, "--app-dir", "x", ready=False) as running:
        assert running.wait() in (2, 3)  # it is taken for a target, and not found
        assert "pid" not in running.stdout


AS_NOBODY = """
import os, sys
from bare_serve.cli.verbs import command
command.run([{words!r}[0], "999999999"])  # what is imported late may not be readable later
os.setgid({gid}); os.setuid({gid})
sys.exit(command.run({words!r}))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="root, to become another user")
@pytest.mark.parametrize("name", ["status", "reload", "stop", "stacks"])
def test_another_user_is_refused_by_the_kernel(name: str) -> None:
    with server("wsgi") as running:
        source = AS_NOBODY.format(gid=NOBODY, words=[name, str(running.pid)])
        found = subprocess.run(
            [sys.executable, "-c", source],
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert found.returncode == 3
        assert "only that user and root can look into it" in found.stderr
        assert get(running).endswith(b"ok\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="root, to become another user")
def test_another_user_is_told_of_masters_and_not_of_workers() -> None:
    with server("wsgi", "--workers", "2") as running:
        source = AS_NOBODY.format(gid=NOBODY, words=["status"])
        found = subprocess.run(
            [sys.executable, "-c", source],
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert found.returncode == 3
        # Others may run beside this one.
        named = f"process {running.pid}, which seems to be a server, belongs to the user root"
        assert f" {running.pid} (of the user root)" in found.stderr or named in found.stderr
        for worker in running.workers:
            assert f" {worker} (" not in found.stderr


CAPABLE = ("--inh-caps", "+net_bind_service", "--ambient-caps", "+net_bind_service")


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="root, and setpriv(1)"
)
def test_a_service_with_capabilities_is_said_to_have_more_rights() -> None:
    become = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *CAPABLE)
    service = subprocess.Popen([*become, "sleep", "60"])
    try:
        name = Path(f"/proc/{service.pid}/comm")
        eventually(lambda: name.read_text() == "sleep\n", "the service")
        source = AS_NOBODY.format(gid=NOBODY, words=["status", str(service.pid)])
        found = subprocess.run(
            [sys.executable, "-c", source],
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    finally:
        service.kill()
        service.wait()
    assert found.returncode == 3
    assert "has rights that this command has not" in found.stderr
    assert "run the command as root" in found.stderr


def _unshared(*options: str) -> bool:
    tool = shutil.which("unshare")
    command = [tool or "unshare", *options, "true"]
    return tool is not None and subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.skipif(not _unshared("--pid", "--fork", "--mount-proc"), reason="unshare(1)")
def test_a_server_in_another_pid_namespace_is_looked_at_from_outside() -> None:
    inside: Sequence[str] = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    command = (*inside, sys.executable, "-m", "bare_serve")
    with serve("app:wsgi", *HURRY, source=APP, command=command) as running:
        [master] = running.workers  # of unshare(1)
        found = json.loads(run_cli("status", "--json", str(master)).stdout)["servers"][0]
        assert (found["master"]["pid"], found["pid"]) == (1, master)
        assert found["workers"][0]["pid_here"] not in (0, found["workers"][0]["pid"])
        assert found["workers"][0]["memory_bytes"] > 1 << 20
        text = run_cli("stacks", str(master))
        assert text.returncode == 0
        assert run_cli("stop", str(master)).returncode == 0


READ_ONLY = "mount -o remount,ro,bind / && exec env -i {command}"


@pytest.mark.skipif(not _unshared("--mount"), reason="unshare(1)")
def test_commands_need_no_home_and_write_no_file() -> None:
    with server("wsgi") as running:
        env = clean_environment()
        words = f"PYTHONPATH={env['PYTHONPATH']} {sys.executable} -m bare_serve"
        for name in ("status", "stacks", "reload"):
            command = READ_ONLY.format(command=f"{words} {name} {running.pid}")
            found = subprocess.run(
                ["unshare", "--mount", "sh", "-c", command],
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            assert (found.returncode, found.stderr) == (0, "")


def test_memory_that_can_be_made_smaller_is_no_servers() -> None:
    """Whoever has made it could end a command of root's by that, with SIGBUS."""
    fd = os.memfd_create(layout.MEMORY)
    os.ftruncate(fd, Layout.of(2).size)
    head = {layout.HEAD_MAGIC: layout.MAGIC, layout.HEAD_LAYOUT: layout.LAYOUT}
    head |= {layout.HEAD_ROWS: 2, layout.HEAD_PID: os.getpid()}
    for word, value in head.items():
        os.pwrite(fd, value.to_bytes(8, "little"), 8 * word)
    with pytest.raises(Unreadable, match="not the memory of a server"):
        servers._of(os.getpid(), fd)


def test_another_process_with_the_pid_of_a_master_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda fd, signum: sent.append(signum))
    with server("wsgi") as running, servers.the_one(str(running.pid), None) as found:
        worker = eventually(
            lambda: next((w for w in found.memory.snapshot().workers if w.look_signal), None)
        )
        assert servers.is_there(found)
        assert servers.send(found, worker.pid, worker.look_signal)
        later = found._replace(began="1")
        assert not servers.is_there(later)
        assert not servers.send(later, worker.pid, worker.look_signal)
        assert not servers.send(later, running.pid, signal.SIGTERM)
    assert sent == [worker.look_signal]


@pytest.mark.parametrize("content", [None, b"7" * 100_000, b"7 8", b"\xff", b""])
def test_what_is_no_pid_file_is_neither_waited_for_nor_read_to_its_end(
    content: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / "pid"
    if content is None:
        os.mkfifo(path)
    else:
        path.write_bytes(content)
    with pytest.raises(NoServer):
        servers.the_one(None, str(path)).__enter__()
