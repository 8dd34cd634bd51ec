"""Settings: each kind of value, each source, which source wins, and what is refused."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest

from bare_serve.config import kinds, sources
from bare_serve.config.kinds import Kind
from bare_serve.config.options import GROUPS
from bare_serve.config.settings import BY_NAME, Settings
from bare_serve.errors import UsageError


def load(
    asked: dict[str, object] | None = None,
    env: dict[str, str] | None = None,
    directory: Path = Path("/"),
    file: str | None = None,
    **more: Any,
) -> Settings:
    if file is not None:
        (directory / "pyproject.toml").write_text("[tool.bare-serve]\n" + file)
    return sources.load(asked or {}, env or {}, directory, **more)


DURATION = kinds.duration()
GRACE = kinds.duration(off=None)
IDLE = kinds.duration(off=math.inf)
SIZE = kinds.size(16)
PORT = kinds.whole(0, 65535)
MANY = kinds.several(kinds.TEXT, r"[,\s]+")
APART = kinds.several(kinds.TEXT, r"[,\s]+", anywhere=True)
HEADERS = kinds.several(kinds.HEADER, r"[\r\n]+")

ACCEPTED = [
    (DURATION, "10", 10.0, "10s"),
    (DURATION, "1.5", 1.5, "1.5s"),
    (DURATION, "500ms", 0.5, "500ms"),
    (DURATION, "2m", 120.0, "120s"),
    (DURATION, "2 M", 120.0, "120s"),
    (DURATION, "1h", 3600.0, "3600s"),
    (DURATION, "3s", 3.0, "3s"),
    *((DURATION, f"5{unit}", 300.0, "300s") for unit in ("min", "mins", "minutes", " Minute", "m")),
    *((DURATION, f"9{unit}", 9.0, "9s") for unit in ("sec", "secs", " second", "seconds", "s")),
    *((DURATION, f"1.5{unit}", 5400.0, "5400s") for unit in ("h", "hour", "hours")),
    (DURATION, "off", 0.0, "off"),
    (DURATION, "0", 0.0, "off"),
    (DURATION, 7, 7.0, "7s"),
    (DURATION, 0.25, 0.25, "250ms"),
    (GRACE, "0", 0.0, "0s"),
    (IDLE, "0", 0.0, "0s"),
    (IDLE, "off", math.inf, "off"),
    (SIZE, "4096", 4096, "4KiB"),
    (SIZE, "64KiB", 65536, "64KiB"),
    (SIZE, "1MiB", 1 << 20, "1MiB"),
    (SIZE, "2 gib", 2 << 30, "2GiB"),
    (SIZE, "17B", 17, "17"),
    (SIZE, "1GB", 10**9, "1000000000"),
    (SIZE, "3 mb", 3 * 10**6, "3000000"),
    (SIZE, "64kB", 64_000, "64000"),
    (kinds.WORKERS, "3", 3, "3"),
    (kinds.WORKERS, 0, 0, "0"),
    (kinds.PLACE, "0.0.0.0", "0.0.0.0", "0.0.0.0"),
    (kinds.PLACE, "tls:localhost", "tls:localhost", "tls:localhost"),
    (kinds.PLACE, ":80", ":80", ":80"),
    (SIZE, 8190, 8190, "8190"),
    (PORT, "0", 0, "0"),
    (PORT, " 65535 ", 65535, "65535"),
    (PORT, 80, 80, "80"),
    (kinds.SWITCH, True, True, "yes"),
    (kinds.SWITCH, "Yes", True, "yes"),
    (kinds.SWITCH, "off", False, "no"),
    (kinds.SWITCH, "0", False, "no"),
    (kinds.choice("a", "b"), "B", "b", "b"),
    (MANY, "a, b  c,", ("a", "b", "c"), "a, b, c"),
    (MANY, ["a b"], ("a b",), "a b"),
    (MANY, ("a",), ("a",), "a"),
    (APART, ["a, b", "c"], ("a", "b", "c"), "a, b, c"),
    (HEADERS, "A: 1, 2\nB:\t3 ", (("A", "1, 2"), ("B", "3")), "A: 1, 2, B: 3"),
    (HEADERS, [("X-A", "1"), "X-B:"], (("X-A", "1"), ("X-B", "")), "X-A: 1, X-B: "),
    (kinds.HEADER, "X: caf\xe9", ("X", "caf\xe9"), "X: caf\xe9"),
    (kinds.ROOT_PATH, "/api/", "/api", "/api"),
    (kinds.ROOT_PATH, "/", "", ""),
    (kinds.ROOT_PATH, "", "", ""),
    (kinds.ADDRESS, "[::1]:80", "[::1]:80", "[::1]:80"),
]


@pytest.mark.parametrize(("kind", "raw", "value", "shown"), ACCEPTED)
def test_a_value_is_read_and_shown(kind: Kind, raw: object, value: object, shown: str) -> None:
    got = kinds.read(kind, raw, "--x")
    assert got == value
    assert type(got) is type(value)
    assert kind.show(got) == shown


@pytest.mark.parametrize(("kind", "raw", "value", "shown"), ACCEPTED)
def test_what_is_shown_reads_as_the_same(
    kind: Kind, raw: object, value: object, shown: str
) -> None:
    if not kind.separator:
        assert kinds.read(kind, shown, "--x") == value


REFUSED = [
    *((DURATION, raw, "is not a duration") for raw in ("", "-1", "1d", "ten", "1e3", "1.", "nan")),
    *((DURATION, raw, "is not a duration") for raw in ("5 mi", "5minute s", "1hs", "5mss")),
    *((kinds.WORKERS, raw, "from 0 to 256, or auto") for raw in ("many", "257", -1, True)),
    (kinds.PLACE, "app.sock", "did you mean unix:app.sock?"),
    *((kinds.PLACE, raw, "Bad address") for raw in ("8000", "tls", "unix", "::1", "tls:", "fd")),
    *((DURATION, raw, "is not a duration") for raw in (True, -1, float("inf"), None, [1])),
    (GRACE, "off", "is not a duration"),
    *((SIZE, raw, "is not a size") for raw in ("", "-1", "1.5KiB", "1G", "1TiB", "15", 3, True)),
    *((PORT, raw, "is not a whole number from 0 to 65535") for raw in ("", "65536", "-1", "8o")),
    *((PORT, raw, "is not a whole number") for raw in (True, 1.0, None, "1_0", "\u0663")),
    (kinds.whole(1), "0", "'0' is not a whole number from 1 up"),
    *((kinds.SWITCH, raw, "is not yes or no") for raw in ("", "maybe", 1, "2")),
    (kinds.choice("a", "b"), "c", "'c' is not one of a, b"),
    (kinds.choice("a", "b"), 1, "1 is not one of a, b"),
    (kinds.TEXT, "  ", "is not a text"),
    (kinds.TEXT, "a\x1b[2J", r"'a\x1b[2J' is not a text"),
    (MANY, 5, "5 is not a list"),
    (MANY, ["a", 5], "5 is not a text"),
    (kinds.HEADER, "nonsense", "'nonsense' is not a header; write 'Name: value'"),
    (kinds.HEADER, "A b: c", "is not a header"),
    (kinds.HEADER, ": c", "is not a header"),
    (kinds.HEADER, "X: a\r\nY: b", "header 'X' has characters that HTTP does not allow"),
    (kinds.HEADER, ("X", "a\0"), "header 'X' has characters"),
    (kinds.HEADER, "X: \u20ac", "header 'X' has characters"),
    (kinds.HEADER, "Content-Length: 3", "'Content-Length' is written by the server itself"),
    (kinds.ADDRESS, "localhost", "localhost"),
    *((kinds.ROOT_PATH, raw, "is not a path that starts with /") for raw in ("api", "/a b", 1)),
    (kinds.DIRECTORY, "", "is not a directory"),
    (kinds.DIRECTORY, "a\0", "is not a directory"),
    (kinds.DIRECTORY, "/no/such", "cannot read the directory '/no/such': No such file"),
    (kinds.DIRECTORY, "/dev/null", "cannot read the directory '/dev/null': Not a directory"),
    (kinds.choice("a"), "x" * 5000, "xxx... is not one of a"),
]


@pytest.mark.parametrize(("kind", "raw", "message"), REFUSED)
def test_a_bad_value_is_refused_with_what_was_given_and_what_is_accepted(
    kind: Kind, raw: object, message: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        kinds.read(kind, raw, "--x")
    assert str(caught.value).startswith("--x: ")
    assert len(str(caught.value)) < 300


def test_the_defaults_need_nothing() -> None:
    settings = load()
    assert settings.addresses == ("127.0.0.1:8000",)
    assert (settings.workers, settings.interface, settings.app) == (1, "auto", None)
    assert settings.app_dir == Path("/")
    assert set(settings.sources) == set()


# Each: file, environment, command line -> expected values with their sources.
SOURCES: list[tuple[str, dict[str, str], dict[str, object], dict[str, tuple[object, str]]]] = [
    ("workers = 2", {}, {}, {"workers": (2, "file {file}")}),
    ("workers = 2", {"WEB_CONCURRENCY": "3"}, {}, {"workers": (3, "environment WEB_CONCURRENCY")}),
    (
        "workers = 2",
        {"WEB_CONCURRENCY": "3", "BARE_SERVE_WORKERS": "4"},
        {},
        {"workers": (4, "environment BARE_SERVE_WORKERS")},
    ),
    (
        "workers = 2",
        {"WEB_CONCURRENCY": "3", "BARE_SERVE_WORKERS": "4"},
        {"workers": "5"},
        {"workers": (5, "command line")},
    ),
    ("", {"BARE_SERVE_WORKERS": ""}, {}, {"workers": (1, "default")}),
    ("", {"WEB_CONCURRENCY": ""}, {}, {"workers": (1, "default")}),
    ("timeout-body = 1.5", {}, {}, {"timeout_body": (1.5, "file {file}")}),
    ("limit-body = '2MiB'", {}, {}, {"limit_body": (2 << 20, "file {file}")}),
    ("access-log = false", {}, {}, {"access_log": ("off", "file {file}")}),
    (
        "",
        {"BARE_SERVE_ACCESS_LOG": "no"},
        {"access_log": "-"},
        {"access_log": ("-", CLI := "command line")},
    ),
    ("bind = ':80'", {}, {}, {"bind": ((":80",), "file {file}")}),
    ("bind = [':80', 'unix:/x']", {}, {}, {"addresses": ((":80", "unix:/x"), "")}),
    ("", {"BARE_SERVE_BIND": ":1,:2"}, {}, {"addresses": ((":1", ":2"), "")}),
    ("asgi = true", {}, {}, {"interface": ("asgi", "file {file}")}),
    (
        "asgi = true",
        {"BARE_SERVE_WSGI": "1"},
        {},
        {"interface": ("wsgi", "environment BARE_SERVE_WSGI")},
    ),
    ("asgi = false\nwsgi = true", {}, {}, {"interface": ("wsgi", "file {file}")}),
    ("asgi = true\ninterface = 'asgi'", {}, {}, {"interface": ("asgi", "file {file}")}),
    ("interface = 'wsgi'", {}, {"asgi": True}, {"interface": ("asgi", CLI)}),
    (
        "app = 'a:b'\nfactory = true",
        {},
        {},
        {"app": ("a:b", "file {file}"), "factory": (True, "file {file}")},
    ),
    (
        "app = 'a:b'\nfactory = true",
        {},
        {"app": "c:d"},
        {"app": ("c:d", CLI), "factory": (False, "default")},
    ),
    (
        "app = 'a:b'\nfactory = true",
        {},
        {"demo": True},
        {"app": (None, "default"), "factory": (False, "default")},
    ),
    ("demo = true", {}, {"app": "c:d"}, {"demo": (False, "default")}),
    # The address: the strongest source that says anything of it says all of it.
    ("", {"PORT": "5000"}, {}, {"addresses": (("0.0.0.0:5000",), "")}),
    ("", {"PORT": "5000"}, {"host": "::1"}, {"addresses": (("[::1]:5000",), "")}),
    ("", {"PORT": "5000"}, {"port": "9000"}, {"addresses": (("127.0.0.1:9000",), "")}),
    (
        "",
        {"PORT": "5000"},
        {"bind": [":9"]},
        {"addresses": ((":9",), ""), "port": (8000, "default")},
    ),
    ("", {"BARE_SERVE_PORT": "5000"}, {}, {"addresses": (("127.0.0.1:5000",), "")}),
    (
        "bind = ':1'",
        {"PORT": "5000"},
        {},
        {"addresses": (("0.0.0.0:5000",), ""), "bind": ((), "default")},
    ),
    ("host = '127.0.0.2'", {"PORT": "5000"}, {}, {"addresses": (("127.0.0.2:5000",), "")}),
    ("host = 'h'", {}, {"port": "1"}, {"addresses": (("h:1",), "")}),
    (
        "",
        {"PORT": "x", "HOME": "y"},
        {"bind": [":9"]},
        {"!": ("PORT: 'x' is not a whole number", "")},
    ),
]


@pytest.mark.parametrize("case", SOURCES, ids=str)
def test_the_stronger_source_wins(case: Any, tmp_path: Path) -> None:
    file, env, asked, expected = case
    if "!" in expected:
        with pytest.raises(UsageError, match=re.escape(expected["!"][0])):
            load(asked, env, tmp_path, file)
        return
    settings = load(asked, env, tmp_path, file)
    for name, (value, source) in expected.items():
        assert getattr(settings, name) == value
        if source:
            source = source.format(file=tmp_path / "pyproject.toml")
            assert settings.sources.get(name, "default") == source


PLACES: list[tuple[dict[str, object], dict[str, str], tuple[str, ...]]] = [
    ({"bind": ["0.0.0.0"]}, {}, ("0.0.0.0:8000",)),
    ({"bind": ["0.0.0.0"], "port": "9000"}, {}, ("0.0.0.0:9000",)),
    ({"bind": ["[::]", "a:1"], "port": "9000"}, {}, ("[::]:9000", "a:1")),
    ({"bind": ["0.0.0.0"]}, {"PORT": "8080"}, ("0.0.0.0:8080",)),
    ({"port": "9000"}, {"BARE_SERVE_BIND": "localhost"}, ("localhost:9000",)),
    ({"port": "9000"}, {"BARE_SERVE_BIND": "localhost:1"}, ("127.0.0.1:9000",)),
    ({"bind": ["localhost:1"]}, {"PORT": "8080"}, ("localhost:1",)),
    ({"host": "::1"}, {"BARE_SERVE_BIND": "0.0.0.0"}, ("[::1]:8000",)),
]


@pytest.mark.parametrize(("asked", "env", "addresses"), PLACES)
def test_a_host_alone_takes_the_port_of_port(
    asked: dict[str, object], env: dict[str, str], addresses: tuple[str, ...]
) -> None:
    assert load(asked, env).addresses == addresses


def test_auto_is_a_number_of_workers_that_says_why() -> None:
    workers = load({"workers": "auto"}).workers
    assert workers >= 1
    assert "(auto: " in BY_NAME["workers"].kind.show(workers)


ENV = "unknown environment variable BARE_SERVE_WORKER; did you mean BARE_SERVE_WORKERS?"
CONTRADICT = "contradict each other; give only one of them"

MISTAKES: list[tuple[str, dict[str, str], dict[str, object], str]] = [
    ("worker = 2", {}, {}, "[tool.bare-serve] has no key 'worker'; did you mean workers?"),
    ("timeout_bot = 2", {}, {}, "has no key 'timeout_bot'; did you mean timeout-boot?"),
    ("zzzzzz = 2", {}, {}, "has no key 'zzzzzz'"),
    ("workers = true", {}, {}, "{file}, line 2: workers: True is not a whole number"),
    ("workers = ", {}, {}, "{file} is not valid TOML: "),
    ("", {"BARE_SERVE_WORKER": "2"}, {}, ENV),
    ("", {"BARE_SERVE_WORKERS": "two"}, {}, "BARE_SERVE_WORKERS: 'two' is not a whole number"),
    ("", {"WEB_CONCURRENCY": "two"}, {}, "WEB_CONCURRENCY: 'two' is not a whole number"),
    ("", {}, {"workers": "two"}, "--workers: 'two' is not a whole number"),
    ("", {}, {"asgi": True, "wsgi": True}, f"--asgi and --wsgi {CONTRADICT}"),
    ("", {}, {"asgi": True, "interface": "wsgi"}, f"--asgi and --interface {CONTRADICT}"),
    ("", {}, {"demo": True, "app": "a:b"}, f"--demo and target 'a:b' {CONTRADICT}"),
    ("", {}, {"demo": True, "factory": True}, f"--demo and --factory {CONTRADICT}"),
    ("", {}, {"bind": [":1"], "host": "a"}, f"--bind and --host {CONTRADICT}"),
    ("", {}, {"bind": [":1"], "port": "1"}, f"--bind and --port {CONTRADICT}"),
    ("", {}, {"wsgi": True, "lifespan": "on"}, "--lifespan on is for ASGI applications"),
    (
        "asgi = true\nwsgi = true",
        {},
        {},
        f"{{file}}, line 2: asgi and {{file}}, line 3: wsgi {CONTRADICT}",
    ),
    ("", {}, {"app_dir": "/no/such"}, "--app-dir: cannot read the directory '/no/such'"),
    ("app-dir = 'none'", {}, {}, "{file}, line 2: app-dir: cannot read the directory"),
]


@pytest.mark.parametrize("case", MISTAKES, ids=str)
def test_a_mistake_is_refused_in_one_sentence(case: Any, tmp_path: Path) -> None:
    file, env, asked, message = case
    message = message.format(file=tmp_path / "pyproject.toml")
    with pytest.raises(UsageError, match=re.escape(message)):
        load(asked, env, tmp_path, file)


def test_a_section_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool]\nbare-serve = 3\n")
    with pytest.raises(UsageError, match=r"tool\.bare-serve is not a table"):
        load(directory=tmp_path)


@pytest.mark.parametrize("content", ["", "tool = 3", "[tool.other]\nx = 1", "[project]\nname='x'"])
def test_a_file_of_others_says_nothing_to_us(tmp_path: Path, content: str) -> None:
    (tmp_path / "pyproject.toml").write_text(content)
    assert not load(directory=tmp_path).sources


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="is not valid TOML"):
        load(directory=tmp_path)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").mkdir()
    with pytest.raises(UsageError, match=r"cannot read .*pyproject\.toml: Is a directory"):
        load(directory=tmp_path)


def test_the_file_of_the_app_dir_is_preferred(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.bare-serve]\nworkers = 2")
    (tmp_path / "src").mkdir()
    asked: dict[str, object] = {"app_dir": str(tmp_path / "src")}
    assert load(asked, directory=tmp_path).workers == 2, "the current directory's as a fallback"
    (tmp_path / "src" / "pyproject.toml").write_text("[tool.bare-serve]\nworkers = 3")
    assert load(asked, directory=tmp_path).workers == 3


def test_an_app_dir_in_the_file_is_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    assert load(directory=tmp_path, file="app-dir = 'src'").app_dir == tmp_path / "src"


def test_python_callers_get_their_own_words() -> None:
    with pytest.raises(UsageError, match=r"run\(\) has no option worker; did you mean workers\?"):
        load({"worker": 2}, from_python=True)
    with pytest.raises(UsageError, match=r"run\(port=\.\.\.\): 'x' is not a whole number"):
        load({"port": "x"}, from_python=True)
    settings = load({"bind": ":1", "header": [("A", "b")]}, from_python=True)
    assert settings.bind == (":1",)
    assert settings.header == (("A", "b"),)
    assert settings.sources["bind"] == "run()"


@pytest.mark.parametrize("name", BY_NAME)
def test_each_default_is_a_value_its_own_kind_accepts(name: str) -> None:
    option = BY_NAME[name]
    assert option.group in GROUPS
    assert option.help.endswith(".")
    if option.default is not None:
        assert kinds.read(option.kind, option.default, name) in (option.default, Path.cwd())


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        load().workers = 3  # type: ignore[misc]
