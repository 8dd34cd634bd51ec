"""Settings of the ops process that are refused: one sentence each, before anything is bound."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from bare_serve.config.settings import Settings
from bare_serve.errors import BareServeError, UsageError
from bare_serve.net import sockets
from bare_serve.server.ops import address_of, listening, rules_of
from bare_serve.supervision import Handover
from tests.ops.support import WSGI
from tests.support import run_cli

GOOD = "0123456789abcdef"


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.touch(0o600)
    path.write_text(GOOD)
    return path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--ops", "0.0.0.0:0"], "other machines can connect there"),
        (["--ops", ":0"], "other machines can connect there"),
        (["--ops", "[::]:0"], "other machines can connect there"),
        (["--ops", "10.0.0.1:9100"], "other machines can connect there"),
        (["--ops", "127.0.0.1:0", "--ops-control"], "everybody on this machine can connect"),
        (["--ops", "tls:127.0.0.1:0"], "it speaks plain HTTP; leave out tls:"),
        (["--ops", "fd://3"], "give HOST:PORT or unix:PATH"),
        (["--ops", "unix:@ops"], "give HOST:PORT or unix:PATH"),
        (["--ops", "9100"], "did you mean :9100"),
        (["--ops-control"], "--ops-control is about the ops process; give --ops, too"),
        (["--ops-host", "a"], "--ops-host is about the ops process; give --ops, too"),
        (["--ops-token-file", "/x"], "--ops-token-file is about the ops process"),
        (["--ops", "127.0.0.1:0", "--ops-token-file", "/no/such"], "cannot read it: No such file"),
        (["--ops", "127.0.0.1:0", "--ops-token-file", "/dev/null"], "it is no file"),
        (["--ops", "127.0.0.1:0", "--ops-token-file", "/tmp"], "cannot read it: Is a directory"),
        (["--ops", "127.0.0.1:0", "--workers", "0"], "--ops needs a master"),
        (["--drain-delay", "5", "--workers", "0"], "--drain-delay needs a master"),
    ],
)
def test_what_is_refused(arguments: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(WSGI)
    done = run_cli("app:app", "--bind", "127.0.0.1:0", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_an_address_that_is_taken_ends_a_start_and_no_server_that_runs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = Settings(ops="{}:{}".format(*taken.getsockname()))
        handover = Handover()
        with (
            pytest.raises(BareServeError, match="it is in use"),
            listening(settings, handover, None),
        ):
            pass
        handover.received = True
        with listening(settings, handover, None) as listener:
            assert listener is None
    assert "The server goes on without its ops process." in caplog.text


def test_another_address_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    handover, before = Handover(), Settings(ops=f"unix:{tmp_path}/before")
    inherited = sockets.bind(address_of(before))
    handover.ops = {str(address_of(before)): inherited.detach()}
    with listening(Settings(ops=f"unix:{tmp_path}/now"), handover, None) as listener:
        assert listener is not None
        assert {path.name for path in tmp_path.iterdir()} == {"now"}
        assert handover.ops == {f"unix:{tmp_path}/now": listener.fileno()}
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        (GOOD, 0o640, "run chmod 600"),
        (GOOD, 0o604, "run chmod 600"),
        ("short", 0o600, "a token is 16 to 4096 letters"),
        ("", 0o600, "a token is 16 to 4096 letters"),
        ("with blanks in the middle", 0o600, "a token is 16 to 4096 letters"),
        ("x" * 5000, 0o600, "a token is 16 to 4096 letters"),
        ("caf\u00e9" * 8, 0o600, "a token is 16 to 4096 letters"),
    ],
)
def test_tokens_that_are_none(token: Path, text: str, mode: int, said: str) -> None:
    token.write_text(text)
    token.chmod(mode)
    (token.parent / "app.py").write_text(WSGI)
    arguments = ("--ops", "0.0.0.0:0", "--ops-token-file", str(token), "--check")
    done = run_cli("app:app", *arguments, cwd=token.parent)
    assert done.returncode == 2
    assert said in done.stderr
    if text == GOOD:
        assert GOOD not in done.stderr


def test_a_good_token_opens_the_address(token: Path) -> None:
    (token.parent / "app.py").write_text(f"{WSGI}")
    arguments = ("--ops", "0.0.0.0:0", "--ops-token-file", str(token), "--check")
    done = run_cli("app:app", *arguments, cwd=token.parent)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has files of root's")
def test_a_token_of_roots_may_be_readable_by_our_group(
    token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(ops="0.0.0.0:0", ops_token_file=str(token))
    token.chmod(0o440)
    with pytest.raises(UsageError, match="run chmod 600"):
        rules_of(settings, None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert rules_of(settings, None).token == GOOD
    for mode in (0o460, 0o444):
        token.chmod(mode)
        with pytest.raises(UsageError, match="run chmod 600"):
            rules_of(settings, None)
