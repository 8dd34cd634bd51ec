"""Which browser is opened, and a code for telephones."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

import pytest

from bare_serve.dev import opening, qr
from bare_serve.server import opening as addresses
from bare_serve.server.listeners import Listeners
from tests.support import eventually


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with programs, which is the whole PATH."""
    for name in ("xdg-open", "gio", "mine"):
        path = tmp_path / name
        path.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/opened\n')
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(opening.sys, "platform", "linux")
    return tmp_path


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, []),
        ({"DISPLAY": ":0"}, ["xdg-open"]),
        ({"WAYLAND_DISPLAY": "w"}, ["xdg-open"]),
        ({"BROWSER": "mine"}, ["mine"]),
        ({"BROWSER": "none:mine %s:mine"}, ["mine"]),
        ({"BROWSER": "none"}, []),
    ],
)
def test_which_browser(environ: dict[str, str], found: list[str], tools: Path) -> None:
    assert opening.browser(environ) == [str(tools / name) for name in found]


def test_without_the_usual_opener(tools: Path) -> None:
    (tools / "xdg-open").unlink()
    assert opening.browser({"DISPLAY": ":0"}) == [str(tools / "gio"), "open"]


def test_it_is_opened_and_nobody_waits_for_it(tools: Path) -> None:
    pipe = 'sh -c "kill -PIPE \\$\\$; echo ignored" > ' + f"{tools}/pipe"
    (tools / "mine").write_text(f'#!/bin/sh\n{pipe}\necho "$@" > {tools}/opened\n')
    environ = {"BROWSER": "mine", "PATH": os.defpath}
    assert opening.open_browser("http://localhost:8000/?a='b'&c=$(d)", environ)
    opened = tools / "opened"
    eventually(lambda: opened.exists() and opened.read_text())
    assert opened.read_text() == "http://localhost:8000/?a='b'&c=$(d)\n"
    assert (tools / "pipe").read_text() == "", "a broken pipe ends programs, as ever"
    assert not opening.open_browser("http://localhost/", {})


@pytest.mark.parametrize(
    ("text", "size", "digest"),
    [
        ("http://192.168.178.23:8000/", 25, "c9bf11ba0449b291"),
        ("x" * 53, 29, ""),
        ("q" * 106, 37, ""),
    ],
)
def test_the_code(text: str, size: int, digest: str) -> None:
    """The digest is of a code that other programs make alike, module by module."""
    code = qr.matrix(text)
    assert (len(code), {len(row) for row in code}) == (size, {size})
    assert hashlib.sha256(repr(code).encode()).hexdigest().startswith(digest)
    lines = qr.drawn(text).splitlines()
    assert len(lines) == (size + 4 + 1) // 2


def test_what_is_too_long_has_no_code() -> None:
    with pytest.raises(ValueError, match="107 bytes are too long"):
        qr.matrix("q" * 107)


@pytest.mark.parametrize(
    ("host", "role", "browser", "network"),
    [
        ("127.0.0.1", "", "http://127.0.0.1:{}/shop/", ""),
        ("0.0.0.0", "tls", "https://localhost:{}/shop/", "https://10.1.2.3:{}"),
        ("127.0.0.1", "redirect", "", ""),
    ],
)
def test_where_people_find_it(
    host: str, role: str, browser: str, network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "own_address", lambda: "10.1.2.3")
    with socket.create_server((host, 0)) as listener:
        port = listener.getsockname()[1]
        listeners = Listeners({listener: role}, None)
        assert addresses.for_browser(listeners, "/shop") == browser.format(port)
        assert addresses.for_network(listeners) == network.format(port)


def test_why_nothing_is_opened(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses.open_for(Listeners({}, None))
    monkeypatch.setattr(opening, "open_browser", lambda _: False)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        addresses.open_for(Listeners({listener: ""}, None))
    assert "no address that a browser could open" in caplog.messages[0]
    assert "there is no browser to be seen here. The address is http://" in caplog.messages[1]
