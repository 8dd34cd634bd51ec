"""The command line as a person meets it: help, version, settings, and every kind of mistake.

What needs no server is asked of `main` in this process; behaviour is asked of real processes.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bare_serve import __version__
from bare_serve.cli import main as cli
from bare_serve.config.options import GROUPS
from bare_serve.config.settings import OPTIONS
from tests.support import clean_environment, run_cli, serve

WSGI = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""
ASGI = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})
"""

Main = Callable[..., tuple[int, str, str]]


@pytest.fixture
def main(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Main:
    """Runs the command in this process and an empty directory: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("BARE_SERVE_") or name in ("PORT", "WEB_CONCURRENCY", "FORCE_COLOR"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*args: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            cli.main(list(args))
        out, err = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return end.value.code, out, err

    return run


@pytest.mark.parametrize("flags", [["--help"], ["-h", "all"], ["shop:app", "--help"]])
def test_help_names_every_option_in_its_section(main: Main, flags: list[str]) -> None:
    code, out, err = main(*flags)
    assert (code, err) == (0, "")
    assert out.startswith("Usage: bare-serve [OPTIONS] [APP]\n")
    sections = re.findall(r"^(\w[\w ]*):$", out, re.MULTILINE)
    assert sections == [*GROUPS, "Instead of serving"]
    for option in OPTIONS:
        section = out.partition(f"\n{option.group}:\n")[2].partition("\n\n")[0]
        wanted = "APP" if option.name == "app" else option.flag
        assert re.search(rf"(^| ){wanted}( |$)", section, re.MULTILINE), option.name
    assert max(map(len, out.splitlines())) <= 100
    assert "[default: 75s]" in " ".join(out.split())


def test_version_says_what_it_runs_on(main: Main) -> None:
    code, out, err = main("--version")
    assert (code, err) == (0, "")
    assert re.fullmatch(
        rf"bare-serve {re.escape(__version__)} \(\w+ 3\.\d+\.\S+, (no uvloop|uvloop [\d.]+), "
        r"(no httptools|httptools [\d.]+), (no websockets|websockets [\d.]+)\)\n",
        out,
    )


def test_print_config_shows_values_and_sources(
    main: Main, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.bare-serve]\nloop = 'asyncio'\n")
    monkeypatch.setenv("BARE_SERVE_LIMIT_BODY", "2MiB")
    code, out, err = main("--print-config", "--no-access-log", "-w", "3", "-b", ":1", "-b", ":2")
    assert (code, err) == (0, "")
    rows = {cells[0]: cells[1:] for line in out.splitlines() if (cells := re.split("  +", line))}
    assert rows["NAME"] == ["VALUE", "SOURCE"]
    assert rows["workers"] == ["3", "command line"]
    assert rows["bind"] == [":1, :2", "command line"]
    assert rows["access-log"] == ["off", "command line"]
    assert rows["limit-body"] == ["2MiB", "environment BARE_SERVE_LIMIT_BODY"]
    assert rows["loop"] == ["asyncio", f"file {tmp_path / 'pyproject.toml'}"]
    assert rows["timeout-boot"] == ["60s", "default"]


def test_print_config_changed_shows_what_differs_from_the_defaults(main: Main) -> None:
    args = ("--print-config", "changed", "-w", "3", "--port", "8000", "shop:app")
    code, out, err = main(*args)
    assert (code, err) == (0, "")
    rows = [line.split()[:2] for line in out.splitlines()]
    assert rows == [["NAME", "VALUE"], ["app", "shop:app"], ["workers", "3"]]
    found = json.loads(main("--print-config=changed", "-w", "3", "--log-format", "json")[1])
    assert {name: each["value"] for name, each in found.items()} == {
        "workers": 3,
        "log-format": "json",
    }


CONTRADICT = "contradict each other; give only one of them"

MISTAKES = [
    (["--asgi", "--wsgi"], f"--asgi and --wsgi {CONTRADICT}"),
    (["--asgi", "--interface", "wsgi"], f"--asgi and --interface {CONTRADICT}"),
    (["--demo", "app:app"], f"--demo and target 'app:app' {CONTRADICT}"),
    (["-b", ":1", "--port", "2"], f"--bind and --port {CONTRADICT}"),
    (["--port", "abc"], "--port: 'abc' is not a whole number from 0 to 65535"),
    (["--port", "65536"], "--port: '65536' is not a whole number from 0 to 65535"),
    (["-w", "-1"], "--workers: '-1' is not a whole number from 0 to"),
    (["-w", "many"], "--workers: 'many' is not a whole number from 0 to"),
    (["--interface", "cgi"], "--interface: 'cgi' is not one of auto, asgi, asgi2, wsgi"),
    (["--parser", "c"], "--parser: 'c' is not one of auto, python, httptools"),
    (["--loop", "trio"], "--loop: 'trio' is not one of auto, uvloop, asyncio"),
    (["--lifespan", "x"], "--lifespan: 'x' is not one of auto, on, off"),
    (["--log-level", "x"], "--log-level: 'x' is not one of debug, info"),
    *(
        ([option.flag, "soon"], f"{option.flag}: 'soon' is not a duration; write seconds (10 or")
        for option in OPTIONS
        if option.name.startswith("timeout_")
    ),
    *(
        ([option.flag, "big"], f"{option.flag}: 'big' is not a ")
        for option in OPTIONS
        if option.name.startswith("limit_")
    ),
    (["--bind", "nowhere:x"], "--bind: "),
    (["--header", "x"], "--header: 'x' is not a header; write 'Name: value'"),
    (["--root-path", "x"], "--root-path: 'x' is not a path that starts with /"),
    (["--app-dir", "/no/such"], "--app-dir: cannot read the directory '/no/such'"),
    (["--worker", "2"], "--worker"),
    (["app:app", "other:app"], "other:app"),
    (["--port"], "--port"),
    (["app:app(name)"], "'app:app(name)' is not a target"),
    ([""], "target '': '' is not a text of printable characters that is more than blanks"),
    ([], "No application was named"),
]


@pytest.mark.parametrize(("args", "message"), MISTAKES, ids=lambda value: " ".join(value))
def test_a_mistake_is_one_message_and_exit_code_2(
    main: Main, args: list[str], message: str
) -> None:
    code, out, err = main(*args)
    assert (code, out) == (2, "")
    assert err.startswith("bare-serve: error: ")
    assert message in err
    assert "Traceback" not in err


def test_an_unknown_option_names_the_nearest(main: Main) -> None:
    assert "--workers" in main("--worker", "2")[2]


def test_check_reports_what_the_application_is(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(WSGI)
    done = run_cli("--check", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    app, interface, app_dir, last = done.stdout.splitlines()
    assert last == "ok"
    assert app.split(maxsplit=1) == ["app", "app:app (app.py defines app)"]
    assert interface.split()[:2] == ["interface", "WSGI"]
    assert app_dir.split() == ["app-dir", str(tmp_path)]


@pytest.mark.parametrize("mode", [["--check"], ["--port", "0"]])
@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--log-config", "nosuch"], "--log-config: cannot read "),
        (["--log-config", "app.py"], "--log-config: "),
        (["--hooks", "nosuch"], "--hooks: there is no module 'nosuch'"),
        (["--access-log", "/nosuch/x"], "--access-log: cannot write to /nosuch/x: No such file"),
        (["--error-log", "."], ": Is a directory"),
        (["--access-log", "log", "--access-log-format", "%(nosuch)s"], "nosuch"),
        (["--proxy-protocol"], "--proxy-protocol needs --forwarded-allow-ips"),
        (["--user", "no-such-user"], "--user no-such-user: there is no such user"),
        (["--lifespan", "on", "--workers", "0"], "--lifespan on: the application is WSGI"),
        (["--lifespan", "on", "--workers", "2"], "--lifespan on: the application is WSGI"),
        (["--middleware", "app:app"], "--middleware app:app: "),
    ],
)
def test_check_refuses_what_a_start_refuses(
    tmp_path: Path, mode: list[str], args: list[str], message: str
) -> None:
    (tmp_path / "app.py").write_text(WSGI)
    done = run_cli("app:app", *mode, *args, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_check_binds_nothing_and_makes_no_file(tmp_path: Path) -> None:
    source = 'import os\nassert os.environ["SHOP"] == "open"\n'
    (tmp_path / "app.py").write_text(source + WSGI)
    (tmp_path / "env").write_text("SHOP=open\n")
    (tmp_path / "log.json").write_text(
        '{"handlers": {"file": {"class": "logging.FileHandler", "filename": "made"}}}'
    )
    files = ("--log-config", "log.json", "--access-log", "a", "--error-log", "e", "--pid", "p")
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = str(holder.getsockname()[1])
        options = ("--env-file", "env", *files, "--port", port)
        done = run_cli("app:app", "--check", *options, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    names = {path.name for path in tmp_path.iterdir()} - {"__pycache__"}
    assert names == {"app.py", "env", "log.json"}


# Each: where it does not end, what stderr says of it, the exit code.
ENDLESS = {
    "while it is imported": (
        "import time\nwhile True:\n    time.sleep(1)\n", "line 3, in <module>", 3,
    ),
    "swallowing all that is raised": (
        "import time\ndef wait():\n    while True:\n        try:\n            time.sleep(1)\n"
        "        except BaseException:\n            pass\nwait()\n",
        "line 5, in wait",
        3,
    ),
    "in C, which gives the interpreter to nobody": (
        "import re\nre.match('(a*)*b', 'a' * 40)\n", "line 2 in <module>", 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("source", "said", "code"), ENDLESS.values(), ids=ENDLESS)
def test_check_ends_though_the_import_does_not(
    tmp_path: Path, source: str, said: str, code: int
) -> None:
    (tmp_path / "app.py").write_text(source + WSGI)
    done = run_cli("app:app", "--check", "--timeout-boot", "500ms", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    if code == 3:
        assert "was not loaded within 0.5 s (--timeout-boot)" in done.stderr
        assert "bare_serve/" not in done.stderr


@pytest.mark.parametrize(("target", "code"), [("app:app", 0), ("app:nosuch", 3)])
def test_check_waits_for_no_thread_of_the_application(
    tmp_path: Path, target: str, code: int
) -> None:
    thread = "import threading\nthreading.Thread(target=threading.Event().wait).start()\n"
    (tmp_path / "app.py").write_text(thread + WSGI)
    done = run_cli(target, "--check", cwd=tmp_path)
    assert done.returncode == code
    assert "interface" in done.stdout if code == 0 else "nosuch" in done.stderr


LONG = pytest.mark.long
# Each: app.py, arguments, exit code, what stderr says, whether the app's own traceback is shown.
BROKEN = [
    (ASGI, ["nothere:app"], 3, "There is no module 'nothere'", False),
    (ASGI, ["ap:app"], 3, "did you mean 'app'?", False),
    (ASGI, ["app:ap"], 3, "has no attribute 'ap'; did you mean 'app:app'?", False),
    ("app = 3", ["app:app"], 3, "app", False),
    ("import nosuch\napp = 3", ["app:app"], 3, "it needs the module 'nosuch'", True),
    ("def f():\n    1 / 0\nf()\n", ["app:app"], 3, "ZeroDivisionError", True),
    ("def app(\n", ["app:app"], 3, "SyntaxError", True),
    ("def app(a): pass", ["app:app"], 3, "--asgi", False),
    ("import sys\nsys.exit(7)", ["app:app"], 3, "sys.exit(7)", True),
    ("def app(): 1 / 0", ["app:app", "--factory"], 3, "ZeroDivisionError", True),
    (ASGI, ["app:app", "--app-dir", "nothere"], 2, "cannot read the directory 'nothere'", False),
]


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_lifespan_asked_of_what_turns_out_to_be_wsgi(tmp_path: Path, workers: str) -> None:
    (tmp_path / "app.py").write_text("def app(environ, start_response): pass")
    done = run_cli("--lifespan", "on", "--workers", workers, "--port", "0", cwd=tmp_path)
    assert done.returncode == 2
    assert "--lifespan on: the application is WSGI" in done.stderr
    assert "Traceback" not in done.stderr


MODES = ("--workers=0", "--workers=1", "--workers=3")


def _told() -> list[Any]:
    """Each with --check and by one kind of start; by the other kinds in the long tests."""
    return [
        pytest.param(*case, mode, marks=[] if mode in ("--check", MODES[n % 3]) else [LONG])
        for n, case in enumerate(BROKEN)
        for mode in ("--check", *MODES)
    ]


@pytest.mark.parametrize(("source", "args", "code", "message", "traceback", "mode"), _told())
def test_an_application_that_cannot_be_had_is_told_once(
    tmp_path: Path,
    mode: str,
    source: str,
    args: list[str],
    code: int,
    message: str,
    traceback: bool,
) -> None:
    (tmp_path / "app.py").write_text(source)
    port = [] if mode == "--check" else ["--port", "0"]
    done = run_cli(*args, mode, *port, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert done.stderr.count("bare-serve: error: ") == 1
    assert done.stderr.rstrip().rpartition("\n")[2].startswith("bare-serve: error: ")
    assert done.stderr.count("Traceback (most recent call last)") <= traceback
    assert done.stderr.count(f'File "{tmp_path / "app.py"}"') == done.stderr.count('File "'), (
        "only the application's own frames are shown"
    )
    assert ('File "' in done.stderr) is traceback


def test_a_port_in_use_says_which_and_by_whom(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(ASGI)
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        done = run_cli("app:app", "--port", str(port), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("bare-serve: error: ")
    assert f"127.0.0.1:{port}" in done.stderr
    assert f"pid {os.getpid()}" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("args", [["--help"], ["--print-config"], ["--version"]])
def test_a_reader_that_has_seen_enough_is_no_error_of_ours(args: list[str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "bare_serve", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment(),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process, process.stdout, process.stderr:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 1


def test_python_m_is_the_same_command(tmp_path: Path) -> None:
    done = run_cli("--help", cwd=tmp_path)
    assert done.stdout.startswith("Usage: bare-serve [OPTIONS] [APP]\n")


def test_a_directory_that_is_gone_is_told(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code = f"import os; from bare_serve.cli.main import main; os.rmdir({str(gone)!r}); main([])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=gone,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "bare-serve: error: cannot tell the current directory: No such file or directory\n"
    )


def test_an_interrupt_before_serving_is_quiet(main: Main, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.sources, "load", interrupted)
    assert main("app:app") == (130, "", "\n"), "the next prompt starts on a line of its own"


@pytest.mark.parametrize("workers", ["0", "1", "2"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("source", [WSGI, ASGI], ids=["wsgi", "asgi"])
def test_stopping_as_asked_is_exit_code_0(source: str, number: int, workers: str) -> None:
    with serve("--workers", workers, source=source) as server:
        assert server.stop(number) == 0
        assert "Traceback" not in server.output
