"""A gunicorn.conf.py as people write them, and as nobody should: read, told, or refused in a line.

(What single expressions come to: test_migrate.py.)
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from bare_serve.cli import conf_file
from bare_serve.cli.gunicorn_names import SETTINGS
from bare_serve.cli.migrate import migrate
from bare_serve.config.foreign import by_key
from bare_serve.config.settings import BY_NAME
from bare_serve.errors import UsageError

UNKNOWN = "(cannot be told)"

STATEMENTS: dict[str, dict[str, object]] = {
    "workers = 2\nworkers += 1\nworkers *= 2": {"workers": 6},
    "bind = ['a:1']\nbind += ['b:2']": {"bind": ["a:1", "b:2"]},
    "workers += 1": {"workers": UNKNOWN},
    "workers, threads = 2, 4": {"workers": 2, "threads": 4},
    "[workers, (threads, timeout)] = 2, (3, 4)": {"workers": 2, "threads": 3, "timeout": 4},
    "workers, threads = both()": {"workers": UNKNOWN, "threads": UNKNOWN},
    "a = workers = 3": {"workers": 3},
    "globals()['workers'] = 3": {"workers": 3},
    "bind = []\nbind.append('x')": {"bind": UNKNOWN},
    "raw_env = ['a']\nraw_env[0] = 'b'": {"raw_env": UNKNOWN},
    "workers = 2\ndel workers": {},
    "try:\n    workers = 5\nexcept ImportError:\n    workers = 3": {"workers": 5},
    "try:\n    import x\nexcept ImportError:\n    workers = 3": {"workers": UNKNOWN},
    "try:\n    pass\nexcept* A:\n    pass\nelse:\n    workers = 1\nfinally:\n    threads = 2":
        {"workers": 1, "threads": 2},
    "for i in range(3):\n    workers = i": {"workers": UNKNOWN},
    "workers = 1\nwhile x():\n    del workers": {"workers": UNKNOWN},
    "match x:\n    case 1: workers = 1": {"workers": UNKNOWN},
    "with open('x') as f:\n    workers = 4\n    user = f.read()": {"workers": 4, "user": UNKNOWN},
    "class Settings:\n    workers = 3": {},
    "from hooks import workers": {"workers": UNKNOWN},
    "import x as workers": {"workers": UNKNOWN},
    "port = 80\nenv = {}\nname = app = 'x'\nlog_level = 'debug'\nbind = ':{}'.format(port)":
        {"bind": ":80"},
    "bind = '%s:%d' % ('x', 80)": {"bind": "x:80"},
    "bind = ' A,B '.strip().lower().split(',')": {"bind": ["a", "b"]},
    "bind = 'x'.__class__()": {"bind": UNKNOWN},
    "bind = 'a' * 3000000000": {"bind": UNKNOWN},
    "bind = [0] * 10000000000": {"bind": UNKNOWN},
}  # fmt: skip


def read(source: str | bytes, directory: Path) -> conf_file.ConfFile:
    path = directory / "gunicorn.conf.py"
    path.write_bytes(source.encode() if isinstance(source, str) else source)
    return conf_file.read(path)


@pytest.mark.parametrize("source", STATEMENTS)
def test_statements_have_their_effect_or_it_cannot_be_told(source: str, tmp_path: Path) -> None:
    found = read(source, tmp_path).assigned
    told = {each.name: each.value if each.known else UNKNOWN for each in found}
    assert {name: told[name] for name in told if name in SETTINGS} == STATEMENTS[source]


def test_names_of_the_file_s_own_are_no_settings(tmp_path: Path) -> None:
    read("port = 81\nenv = {}\napp = 'x'\nlog_level = 'debug'\nworkers = 2\n", tmp_path)
    text = migrate([str(tmp_path / "gunicorn.conf.py")], {})
    assert tomllib.loads(text) == {"workers": 2}
    assert "To be decided on" not in text


def test_each_setting_of_gunicorn_is_known() -> None:
    assert len(SETTINGS) > 90
    known = {"config"}  # a file does not name itself
    assert {name for name in SETTINGS if name not in BY_NAME and by_key(name) is None} <= known


def test_variables_that_a_platform_sets_are_read_by_themselves(tmp_path: Path) -> None:
    source = (
        "import os\nbind = '0.0.0.0:' + os.environ['PORT']\n"
        "workers = int(os.environ['WEB_CONCURRENCY'])\nuser = os.environ['WHO']\n"
    )
    read(source, tmp_path)
    text = migrate([str(tmp_path / "gunicorn.conf.py")], {})
    assert tomllib.loads(text) == {"host": "0.0.0.0"}
    assert "line 2): PORT is read by itself" in text
    assert "line 3): WEB_CONCURRENCY is read by itself" in text
    assert "line 4): set BARE_SERVE_USER from WHO, where it is known" in text


@pytest.mark.parametrize(
    "data",
    [
        "# -*- coding: latin-1 -*-\nproc_name = 'für'\nworkers = 2\n".encode("latin-1"),
        b"\xef\xbb\xbfworkers = 2\nproc_name = 'f\xc3\xbcr'\n",
        b"proc_name = 'f\xc3\xbcr'\r\nworkers = 2\r\n",
        b"proc_name = 'f\xc3\xbcr'\rworkers = 2\r",
        b"\x0cworkers = 2\nproc_name = 'f\xc3\xbcr'; x = '\\d'\n",
    ],
)
def test_encodings_and_ends_of_lines(data: bytes, tmp_path: Path) -> None:
    found = {each.name: each for each in read(data, tmp_path).assigned}
    assert found["workers"].value == 2
    assert (found["proc_name"].value, found["proc_name"].source) == ("für", "'für'")


def test_the_lines_of_a_function_are_those_of_python(tmp_path: Path) -> None:
    """A form feed or a line separator in a text ends no line."""
    found = read("x = '\u2028'\n\x0cdef on_exit(server):\n    # why\n    a = 1\x0c\n", tmp_path)
    [function] = found.functions
    assert function.body == ("# why", "a = 1")
    made = migrate([str(tmp_path / "gunicorn.conf.py")], {})
    assert "hooks" not in tomllib.loads(made)
    assert "#|     #     a = 1\n" in made


def test_hooks_that_are_no_functions_of_the_file(tmp_path: Path) -> None:
    source = "on_exit = lambda server: bye()\npost_fork = x.instrument\nfrom y import when_ready\n"
    read(source + "from base import *\n", tmp_path)
    made = migrate([str(tmp_path / "gunicorn.conf.py")], {})
    for line in (
        "#| def on_exit(facts):\n#|     # gunicorn.conf.py, line 1: on_exit = lambda server: bye()",
        "#| def post_fork(facts):\n#|     # gunicorn.conf.py, line 2: post_fork = x.instrument",
        "#| def worker_ready(facts):\n#|     # gunicorn.conf.py, line 3: when_ready = y.when_ready",
        "from base import * (gunicorn.conf.py, line 4): what is set there is not read",
    ):
        assert line in made


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("workers = 2\nbind = 'x\n", ", line 2: this is not Python: unterminated string literal"),
        ("print 'x'\n", ", line 1: this is not Python: Missing parentheses"),
        ("x = 1\0", "null bytes"),
        ("workers = " + "+".join(["1"] * 20_000), " is nested too deeply to be read"),
        ("workers = " + "not " * 20_000 + "2", " is nested too deeply to be read"),
        ("# coding: no-such-thing\n", "unknown encoding"),
        (b"# \xff\n", ": this is not Python: invalid or missing encoding declaration"),
    ],
)
def test_what_is_no_python_is_refused_in_one_line(
    source: str | bytes, said: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        read(source, tmp_path)
    assert said in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "gunicorn.conf.py"))


@pytest.mark.timeout(20)
def test_a_large_file_takes_no_longer_than_it_is_long(tmp_path: Path) -> None:
    """With the whole file split for each expression it would be minutes."""
    found = read("".join(f"v{n} = {n}\n" for n in range(30_000)), tmp_path)
    assert len(found.assigned) == 30_000
