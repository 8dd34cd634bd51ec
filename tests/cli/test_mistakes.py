"""What is said of the mistakes that people make when they start a server: nineteen kinds.

Each is told in one message that ends the output and says what is wrong, where, and what to do; a
traceback is the application's and none of ours; the exit code is 2 for usage and settings, 3 for
the application.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from bare_serve.cli import main as cli
from tests.support import run_cli


class Mistake(NamedTuple):
    """A command line, what has to be there for it, and what is said in the end."""

    args: str
    code: int
    said: tuple[str, ...]
    """Parts of the last message, in this order."""
    traceback: str = ""
    """The application's own, which comes first: its last line."""
    environ: tuple[tuple[str, str], ...] = ()
    files: tuple[tuple[str, str], ...] = ()


MISTAKES = {
    "a module that is not there": Mistake(
        "shopp:app", 3, ("There is no module 'shopp' in {here}", "shop")
    ),
    "an attribute that is not there": Mistake(
        "shop:ap", 3, ("'shop' ({here}/shop.py) has no attribute 'ap'", "did you mean 'shop:app'")
    ),
    "a package that is missing": Mistake(
        "needs:app", 3,
        ("'needs' failed while it was imported", "'no_such_package'", "install it there"),
        "ModuleNotFoundError: No module named 'no_such_package'",
    ),
    "an import that raises": Mistake(
        "raises:app", 3, ("'raises' raised KeyError while it was imported",), "KeyError: 'SECRET'"
    ),
    "a target that is no application": Mistake(
        "shop:number", 3, ("'shop:number' is not callable", "of type int")
    ),
    "a factory that is not said to be one": Mistake(
        "shop:create_app --check", 3, ("'shop:create_app'", "looks like a factory: add --factory")
    ),
    "no application at all": Mistake(
        "--app-dir empty", 2, ("No application was named", "in {here}/empty", "Name it: bare-serve")
    ),
    "a flag that is mistyped": Mistake(
        "--wokers 2 shop:app", 2, ("there is no option --wokers; did you mean --workers?", "--help")
    ),
    "a value of another kind": Mistake(
        "--workers two shop:app", 2, ("--workers: 'two' is not a whole number from 0 to 256",)
    ),
    "flags of another server": Mistake(
        "-k gevent --daemon --backlog 9 shop:app", 2,
        ("-k gevent", "--threads", "--daemon", "let systemd", "Left out", "--backlog",
         "bare-serve --threads 64 shop:app"),
    ),
    "a key that is mistyped": Mistake(
        "--config c.toml shop:app", 2,
        ("{here}/c.toml, line 2: the file has no key 'worker'; did you mean workers?",),
        files=(("c.toml", "# settings\nworker = 2\n"),),
    ),
    "keys of another server": Mistake(
        "--config c.toml shop:app", 2,
        ("line 1: timeout is a key of another server; use timeout-worker",
         "line 2: accesslog is a key of another server; write access-log"),
        files=(("c.toml", "timeout = 30\naccesslog = '-'\n"),),
    ),
    "a file that is malformed": Mistake(
        "--config c.toml shop:app", 2, ("{here}/c.toml is not valid TOML", "line 1"),
        files=(("c.toml", "workers = \n"),),
    ),
    "a file in another language": Mistake(
        "--config gunicorn.conf.py shop:app", 2,
        ("gunicorn.conf.py is Python", "bare-serve --migrate gunicorn.conf.py"),
        files=(("gunicorn.conf.py", "workers = 2\n"),),
    ),
    "a variable that is mistyped": Mistake(
        "shop:app", 2,
        ("unknown environment variable BARE_SERVE_WORKRES", "mean BARE_SERVE_WORKERS?"),
        environ=(("BARE_SERVE_WORKRES", "2"),),
    ),
    "an address in use": Mistake(
        "shop:app --bind 127.0.0.1:{port}", 1,
        ("Cannot listen on 127.0.0.1:{port}", "in use by pid", "or bind another address"),
    ),
    "an address that is not there": Mistake(
        "shop:app --bind unix:no/such/x.sock", 2,
        ("Cannot listen on unix:no/such/x.sock", "there is no directory"),
    ),
    "a certificate that is not there": Mistake(
        "shop:app --ssl-certfile no.pem", 2,
        ("--ssl-certfile: cannot read {here}/no.pem", "No such file"),
    ),
    "a user that is not there": Mistake(
        "shop:app --user nosuchuser", 2, ("--user nosuchuser: there is no such user",)
    ),
}  # fmt: skip
# These are refused before anything is done, so they need no process of their own.
OF_SETTINGS = {
    kind for kind, mistake in MISTAKES.items()
    if kind.split(" ")[1] in ("flag", "value", "key", "variable", "file")
    or kind.startswith(("flags", "keys"))
}  # fmt: skip
SHOP = """
number = 1

def app(environ, start_response):
    start_response("200 OK", [])
    return [b"ok"]

def create_app():
    return app
"""


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_there_are_nineteen_kinds() -> None:
    assert len(MISTAKES) == 19


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_told(
    kind: str,
    tmp_path: Path,
    taken: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mistake = MISTAKES[kind]
    (tmp_path / "empty").mkdir()
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "needs.py").write_text("import no_such_package\n")
    (tmp_path / "raises.py").write_text("app = {}['SECRET']\n")
    for name, text in mistake.files:
        (tmp_path / name).write_text(text)
    places = {"here": str(tmp_path), "port": str(taken)}
    args = mistake.args.format(**places).split()
    if "--bind" not in args:
        args += ["--port", "0"]
    if kind in OF_SETTINGS:
        monkeypatch.chdir(tmp_path)
        for name, value in mistake.environ:
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as end:
            cli.main(args)
        code = end.value.code
        output, errors = capsys.readouterr()
    else:
        done = run_cli(*args, cwd=tmp_path)
        code, output, errors = done.returncode, done.stdout, done.stderr
    assert code == mistake.code, errors
    before, _, message = errors.rpartition("bare-serve: error: ")
    at = 0
    for part in mistake.said:
        found = message.find(part.format(**places), at)
        assert found >= 0, (part, message)
        at = found + 1
    if mistake.traceback:
        assert before.rstrip().endswith(mistake.traceback)
        frames = re.findall(r'File "(.*?)"', before)
        assert frames
        assert all(str(tmp_path) in frame for frame in frames), "theirs, and none of ours"
    else:
        assert before == ""
    assert output == ""


def test_the_page_beside_the_others_has_each_kind(root: Path) -> None:
    """Made by tools/mistakes.py, with the same mistakes."""
    page = (root / "docs" / "mistakes.md").read_text(encoding="utf-8")
    titles = re.findall(r"^## (.*)$", page, re.MULTILINE)
    assert titles == [f"{kind[0].upper()}{kind[1:]}" for kind in MISTAKES]
    for section in page.split("\n## ")[1:]:
        ours = next(line for line in section.splitlines() if line.startswith("| bare-serve |"))
        kind = section.splitlines()[0]
        mistake = MISTAKES[f"{kind[0].lower()}{kind[1:]}"]
        assert f"| bare-serve | {mistake.code} |" in ours
