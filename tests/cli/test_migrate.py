"""--migrate: what is set for gunicorn or uvicorn becomes a file of ours that a server starts with.

Six deployments as people have them, in tests/cli/moving/: the output for each is the golden file
beside it (bare-serve.toml), and a server starts with it. To write them anew after a change:
python -m tests.cli.test_migrate
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bare_serve.cli import conf_file
from bare_serve.cli.compat import translate
from bare_serve.cli.migrate import migrate
from bare_serve.errors import UsageError
from tests.support import RawClient, clean_environment, run_cli, serve

MOVING = Path(__file__).with_name("moving")
DEPLOYMENTS = {
    "proxied": "gunicorn.conf.py",
    "platform": "gunicorn.conf.py",
    "container": "Dockerfile",
    "compose": "compose.yaml",
    "procfile": "Procfile",
    "unit": "shop.service",
}
WSGI = """
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"ok"]
"""
ASGI = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})
"""


@pytest.fixture
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


def made_of(name: str) -> str:
    before = Path.cwd()
    os.chdir(MOVING / name)
    try:
        return migrate([DEPLOYMENTS[name]], {})
    finally:
        os.chdir(before)


@pytest.mark.usefixtures("two_processors")
@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_the_output_is_the_golden_file(name: str) -> None:
    assert made_of(name) == (MOVING / name / "bare-serve.toml").read_text(encoding="utf-8")


def shop(directory: Path) -> None:
    (directory / "shop").mkdir()
    (directory / "src").mkdir()
    (directory / "shop" / "__init__.py").write_text("")
    (directory / "shop" / "wsgi.py").write_text(WSGI)
    (directory / "shop" / "asgi.py").write_text(ASGI)
    (directory / "src" / "main.py").write_text(ASGI)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_server_starts_with_it(name: str, tmp_path: Path) -> None:
    shop(tmp_path)
    shutil.copy(MOVING / name / "bare-serve.toml", tmp_path)
    more: list[str] = []
    if name == "proxied":  # the hooks as well, taken out as the file says
        command = "sed -n 's/^#| \\{0,1\\}//p' bare-serve.toml > hooks.py"
        assert command in (tmp_path / "bare-serve.toml").read_text()
        subprocess.run(command, shell=True, cwd=tmp_path, check=True)
        more = ["--hooks", "hooks.py"]
    with serve("--workers", "1", *more, cwd=tmp_path, env={"PORT": None}) as server:
        with RawClient(server.address) as client:
            assert client.request().body == b"ok"
        assert server.stop() == 0
        warned = [line for line in server.stderr.splitlines() if " WARNING " in line]
        # On a busy machine the loop may be held up by the first import of something.
        assert [line for line in warned if "event loop" not in line] == []


COMMANDS = {
    "container": "-k gevent -w 2 --worker-connections 1000 -b 0.0.0.0:8401 "
    "--worker-tmp-dir /dev/shm -t 60 shop.wsgi:application",
    "compose": "shop.asgi:app --host 0.0.0.0 --port 8402 --reload --reload-dir shop "
    "--log-level trace --proxy-headers --no-server-header --ws websockets",
    "procfile": "--chdir src main:app --bind 0.0.0.0:80 --workers 3 "
    "-k uvicorn_worker.UvicornWorker --log-file - --access-logfile -",
    "procfile, by path": "src/main:app --bind 0.0.0.0:80 -k uvicorn.workers.UvicornWorker",
    "unit": "shop.asgi:app --timeout-graceful-shutdown 15 --limit-concurrency 200 --no-date-header",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_their_command_is_ours_in_the_second_round(name: str, tmp_path: Path) -> None:
    """The program's name replaced, as one tries first; then the line that the answer has."""
    shop(tmp_path)
    line = shlex.split(COMMANDS[name])
    try:
        translated = translate(line, {})
    except UsageError as error:
        _, *line = shlex.split(str(error).splitlines()[-1])
        translated = translate(line, {})
    done = run_cli("--check", *translated.args, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_python_file_is_answered_by_the_command_that_reads_it(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text("workers = 2\n")
    done = run_cli("-c", "gunicorn.conf.py", "shop", cwd=tmp_path)
    assert "bare-serve --migrate gunicorn.conf.py makes a bare-serve.toml of it" in done.stderr
    done = run_cli("--migrate", "gunicorn.conf.py", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert tomllib.loads(done.stdout) == {"workers": 2}


# ---------------------------------------------------------------------------------- commands

LINES: dict[str, dict[str, object]] = {
    "gunicorn shop.wsgi": {"app": "shop.wsgi"},
    "/srv/venv/bin/gunicorn -w4 -b :80 -b unix:/run/x shop": {
        "app": "shop", "workers": 4, "bind": [":80", "unix:/run/x"],
    },
    "python -m gunicorn --preload --no-sendfile a:b": {"app": "a:b", "preload": True},
    "exec poetry run uvicorn a:b --port $PORT --host 0.0.0.0": {"app": "a:b", "host": "0.0.0.0"},
    "gunicorn -b 0.0.0.0:$PORT -w $WEB_CONCURRENCY a:b": {"app": "a:b", "host": "0.0.0.0"},
    "gunicorn -b 0.0.0.0:${PORT:-8080} a:b": {"app": "a:b", "host": "0.0.0.0", "port": 8080},
    "gunicorn --log-level ${LEVEL:-debug} --user $WHO a:b": {"app": "a:b", "log-level": "debug"},
    "gunicorn -b localhost -m 7 a:b": {"app": "a:b", "bind": "localhost:8000", "umask": "7"},
    "uvicorn a:b --port 80 --uds /run/x --no-access-log": {
        "app": "a:b", "bind": "unix:/run/x", "access-log": "off",
    },
    "UVICORN_PORT=81 UVICORN_ACCESS_LOG=0 uvicorn a:b --factory --http h11": {
        "app": "a:b", "port": 81, "access-log": "off", "factory": True, "parser": "python",
    },
    "gunicorn -k gevent -w 3 --threads 5 a:b": {"app": "a:b", "workers": 3, "threads": 5},
    "gunicorn --workers many a:b": {"app": "a:b"},
    "gunicorn --no-such-thing a:b": {"app": "a:b"},
    "uvicorn a:b --env-file .env": {"app": "a:b"},
    "UVICORN_HEADERS='A:b C:d' UVICORN_RELOAD_DIRS='. /' uvicorn a:b --header E:f": {
        "app": "a:b", "header": "E:f", "reload-dir": [".", "/"],
    },
    "UVICORN_LOOP=none uvicorn a:b c:d": {"app": "a:b", "loop": "auto"},
    "gunicorn --log-syslog-to udp://log:514 --pythonpath x,y a:b": {
        "app": "a:b", "access-log": "syslog://log:514",
    },
    "gunicorn a:b --log-syslog-to tcp://log:514 --pythonpath x": {"app": "a:b", "app-dir": "x"},
    "gunicorn a:b > out 2>&1": {"app": "a:b"},
    "uvicorn a:b --log-config log.json": {"app": "a:b", "log-config": "log.json"},
}  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_a_command(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert tomllib.loads(migrate([line], {})) == LINES[line]
    assert tomllib.loads(migrate(shlex.split(line), {})) == LINES[line]


def test_what_is_not_taken_over_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = migrate(
        ["gunicorn --workers many --no-such-thing --user $WHO -e A=b --backlog 3 a:b"], {}
    )
    assert "#   --workers many: workers: 'many' is not a whole number from 0 to 256" in text
    assert "#   --no-such-thing: it is no setting that is known here" in text
    assert "#   --user $WHO: set BARE_SERVE_USER from WHO, where it is known" in text
    assert "#   -e A=b: a line for the file of --env-file" in text
    assert "\n# Left out, since it means nothing here:\n#   --backlog 3: the queue" in text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_the_output_is_utf_8_wherever_it_is_made(encoding: str, tmp_path: Path) -> None:
    env = {"PYTHONIOENCODING": encoding}
    (tmp_path / "gunicorn.conf.py").write_text("proc_name = 'für →'\n", encoding="utf-8")
    command = [sys.executable, "-m", "bare_serve", "--migrate", "gunicorn.conf.py"]
    done = subprocess.run(
        command, cwd=tmp_path, env=clean_environment(env), capture_output=True, check=False
    )
    assert done.stderr == b""
    assert "für →" in done.stdout.decode("utf-8")


def test_the_file_the_variable_and_the_line_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gunicorn.conf.py").write_text("workers = 2\nthreads = 2\nbind = ':1'\n")
    (tmp_path / "other.py").write_text("workers = 9\n")
    environ = {"GUNICORN_CMD_ARGS": "--threads 3 --max-requests 7"}
    expected = {"app": "a:b", "workers": 2, "threads": 3, "max-requests": 7, "bind": ":5"}
    assert tomllib.loads(migrate(["gunicorn -b :5 a:b"], environ)) == expected
    expected = {"app": "a:b", "workers": 9, "threads": 3, "max-requests": 7}
    assert tomllib.loads(migrate(["gunicorn -c other.py a:b"], environ)) == expected
    assert tomllib.loads(migrate([], environ))["bind"] == ":1"


MISTAKES = {
    (): "name a file",
    ("gunicorn 'a",): "the command cannot be split into words: No closing quotation",
    (".",): ". is a directory; name a file in it",
    ("no-such-file",): "there is no file no-such-file, and it is no command",
    ("hypercorn", "a:b"): "the command is none of gunicorn or uvicorn",
    ("broken.py",): "broken.py, line 1: this is not Python: ",
    ("notes.txt",): "notes.txt has no command of gunicorn or uvicorn",
}


@pytest.mark.parametrize("args", MISTAKES)
def test_a_mistake(args: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.py").write_text("workers = (")
    (tmp_path / "notes.txt").write_text("pip install gunicorn\n")
    with pytest.raises(UsageError) as caught:
        migrate(list(args), {})
    assert MISTAKES[args] in str(caught.value)


def test_no_value_becomes_a_line_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = "--pid 'a\nport = 1' --statsd-host 'b\nport = 2' --user $'c\nport = 3'"
    (tmp_path / "gunicorn.conf.py").write_text(
        "import os\nworkers = os.environ.get('D\\nport = 4', 3)\n"
    )
    found = tomllib.loads(migrate([f"gunicorn {line} a:b"], {}))
    assert "port" not in found
    assert found["workers"] == 3


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ('Environment="UVICORN_HOST=127.0.0.1" "UVICORN_PORT=8403"', "port", 8403),
        ('ENV GUNICORN_CMD_ARGS="-w 2 --threads 4"', "threads", 4),
        ('      UVICORN_PORT: "82"', "port", 82),
        ("  GUNICORN_CMD_ARGS: -w 2 --threads 4", "threads", 4),
        ('- "GUNICORN_CMD_ARGS=-w 2 --threads 4"', "threads", 4),
        ("- UVICORN_PORT=80", "port", 80),
        ("# UVICORN_PORT=80", "port", None),
    ],
)
def test_a_variable_in_a_file(line: str, name: str, value: object, tmp_path: Path) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text(f'{line}\n    command: ["uvicorn", "a:b"]\n')
    assert tomllib.loads(migrate([str(path)], {})).get(name) == value


# ---------------------------------------------------------------------------------- conf_file

VALUES = {
    "1 + 2 * 3": 7,
    "multiprocessing.cpu_count() * 2 + 1": 5,
    "min((os.cpu_count() or 1) * 2, 3)": 3,
    "os.environ.get('NAME', 'x')": "x",
    "int(os.getenv('NAME', '4')) // 2": 2,
    "os.environ.get('NAME') or 'y'": "y",
    "f\"0.0.0.0:{os.environ.get('PORT', 80)}\"": "0.0.0.0:80",
    "'%s:%s' % ('a', 1)": "a:1",
    "['a', *others]": None,
    "{'a': 1}": {"a": 1},
    "'on' if os.environ.get('X') == '1' else 'off'": "off",
    "not 1": False,
    "-3": -3,
    "os.path.join(os.path.dirname(__file__), 'x')": "x",
    "os.environ['NAME']": "${NAME}",
    "int(os.environ['NAME'])": "${NAME}",
    "int(os.environ['NAME']) * 2": None,
    "os.environ['NAME'] or 'x'": None,
    "1 if os.environ['NAME'] else 2": None,
    "os.environ['NAME'] == 'x'": None,
    "not os.environ['NAME']": None,
    "open('x').read()": None,
    "1 // 0": None,
    "__import__('os').system('touch executed')": None,
    "earlier + 1": 11,
    "never_set": None,
}


@pytest.mark.usefixtures("two_processors")
@pytest.mark.parametrize("source", VALUES)
def test_a_value_is_worked_out_or_not_known(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("conf.py").write_text(f"earlier = 10\nvalue: object = {source}\n")
    found = conf_file.read(Path("conf.py")).assigned[-1]
    assert (found.name, found.value, found.line) == ("value", VALUES[source], 2)
    assert found.known is (VALUES[source] is not None)
    assert found.source == source
    assert not Path("executed").exists()


def test_branches_and_functions(tmp_path: Path) -> None:
    path = tmp_path / "conf.py"
    path.write_text(
        "if 1 == 2:\n    a = 1\nelse:\n    a = 2\n"
        "if unknown():\n    b = 1\nelse:\n    b = 2\n"
        "def post_fork(server, worker):\n    x = 1\n\n    if x:\n        pass\n"
        "def on_exit(server): server.log.info('x')\n"
    )
    found = conf_file.read(path)
    told = [(each.name, each.value, each.known) for each in found.assigned]
    assert told == [("a", 2, True), ("b", 2, False)]
    first, second = found.functions
    assert (first.name, first.head) == ("post_fork", "post_fork(server, worker)")
    assert first.body == ("x = 1", "", "if x:", "    pass")
    assert second.body == ("server.log.info('x')",)


if __name__ == "__main__":
    os.cpu_count = lambda: 2  # type: ignore[assignment]
    for each in DEPLOYMENTS:
        (MOVING / each / "bare-serve.toml").write_text(made_of(each), encoding="utf-8")
