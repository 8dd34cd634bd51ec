"""Keys in a file that are another server's, or are spelled with underscores."""

from __future__ import annotations

from pathlib import Path

import pytest

from bare_serve.config import sources
from bare_serve.errors import UsageError


def load(directory: Path, text: str) -> object:
    (directory / "bare-serve.toml").write_text(text)
    return sources.load({}, {}, directory)


def test_underscores_are_read_as_hyphens(tmp_path: Path) -> None:
    settings = load(tmp_path, 'timeout_boot = 2\nlog_level = "debug"\nworkers = 3\n')
    assert (settings.timeout_boot, settings.log_level) == (2, "debug")  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match=r"line 2: log-level is there already, spelled otherwise"):
        load(tmp_path, 'log-level = "info"\nlog_level = "info"\n')


KEYS = {
    "timeout = 30": "use timeout-worker for a worker that hangs, timeout-request to bound each",
    'wsgi_app = "shop:app"': "write app",
    'accesslog = "-"': "write access-log",
    'worker_class = "gevent"': "threads here: threads ",
    'worker-class = "sync"': "leave it out: there are no worker classes",
    "sendfile = true": "leave it out: a file is sent by sendfile",
    "secure_scheme_headers = {}": "have the proxy set X-Forwarded-Proto",
    "daemon = true": "let systemd or a container",
}


@pytest.mark.parametrize("line", KEYS)
def test_a_key_of_another_server_is_answered(line: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, line)
    key = line.partition(" ")[0]
    said = f"{tmp_path / 'bare-serve.toml'}, line 1: {key} is a key of another server; "
    assert str(caught.value).startswith(said)
    assert KEYS[line] in str(caught.value)
    assert "--" not in str(caught.value)


VARIABLES = {
    "TIMEOUT=30": "use BARE_SERVE_TIMEOUT_WORKER for a worker that hangs, BARE",
    "KEEPALIVE=5": "set BARE_SERVE_TIMEOUT_KEEP_ALIVE",
    "WSGI_APP=x": "set BARE_SERVE_APP",
    "WORKER_CLASS=gevent": "BARE_SERVE_THREADS=64 serves as many",
    "BACKLOG=9": "leave it out: the queue of a listener",
    "CHECK_CONFIG=1": "use --check",
}


@pytest.mark.parametrize("pair", VARIABLES)
def test_a_variable_of_another_server_is_answered(pair: str, tmp_path: Path) -> None:
    name, _, value = pair.partition("=")
    with pytest.raises(UsageError) as caught:
        sources.load({}, {f"BARE_SERVE_{name}": value}, tmp_path)
    said = f"unknown environment variable BARE_SERVE_{name}: it is a setting of another server; "
    assert str(caught.value).startswith(said)
    assert VARIABLES[pair] in str(caught.value)


def test_all_variables_are_answered_at_once(tmp_path: Path) -> None:
    environ = {f"BARE_SERVE_{pair.partition('=')[0]}": pair.partition("=")[2] for pair in VARIABLES}
    with pytest.raises(UsageError) as caught:
        sources.load({}, {**environ, "BARE_SERVE_WORKRES": "2"}, tmp_path)
    first, *lines = str(caught.value).splitlines()
    assert first == "unknown environment variables:"
    assert len(lines) == len(VARIABLES) + 1
    assert "  BARE_SERVE_WORKRES; did you mean BARE_SERVE_WORKERS?" in lines


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("env_file = 'x'", "env_file is not said in a file; use --env-file"),
        ("config = 'x'", "config is not said in a file; use --config"),
        ("dev = true", "dev is not said in a file; use --dev"),
        ("headers = []", "write header"),
        ("worker_class = 'gevent'", "threads = 64"),
    ],
)
def test_a_key_of_ours_that_no_file_has(line: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, line)
    assert said in str(caught.value)


def test_a_byte_order_mark_is_left_out(tmp_path: Path) -> None:
    assert load(tmp_path, "\ufeffworkers = 3\n").workers == 3  # type: ignore[attr-defined]


def test_all_keys_are_answered_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, "workers = 2\n" + "\n".join(KEYS) + "\ntimeout_bot = 2\n")
    first, *lines = str(caught.value).splitlines()
    assert first == "these keys cannot be used:"
    assert len(lines) == len(KEYS) + 1
    assert lines[-1].endswith("the file has no key 'timeout_bot'; did you mean timeout-boot?")
