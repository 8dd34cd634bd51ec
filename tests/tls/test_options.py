"""The settings of TLS: from everywhere, together, and shown without the password."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bare_serve.config import kinds, sources
from bare_serve.config.settings import BY_NAME, Settings
from bare_serve.errors import UsageError
from bare_serve.server import listeners, reload
from bare_serve.server.compose import tls_options
from tests.support import run_cli

# Each: option, text, the field of TlsOptions, what it becomes there.
EACH = [
    ("ssl-certfile", "other.pem", "certfile", "/dir/other.pem"),
    ("ssl-keyfile", "key.pem", "keyfile", "/dir/key.pem"),
    ("ssl-keyfile-password", "s3cret", "password", "s3cret"),
    ("ssl-ca-certs", "/ca.pem", "ca_certs", "/ca.pem"),
    ("ssl-cert-reqs", "optional", "cert_reqs", "optional"),
    ("ssl-cert-reqs", "2", "cert_reqs", "required"),
    ("ssl-min-version", "1.3", "min_version", "1.3"),
    ("ssl-ciphers", "HIGH:!aNULL", "ciphers", "HIGH:!aNULL"),
]


def given(place: str, key: str, text: str, directory: Path) -> Settings:
    """Settings in which one place says this, and the file names a certificate."""
    option = next(each for each in BY_NAME.values() if each.key == key)
    lines = {"ssl-certfile": "cert.pem"} | ({key: text} if place == "file" else {})
    (directory / "bare-serve.toml").write_text(
        "".join(f"{name} = {json.dumps(value)}\n" for name, value in lines.items())
    )
    asked: dict[str, object] = {option.name: text} if place == "command line" else {}
    environ = {option.variable: text} if place == "environment" else {}
    return sources.load(asked, environ, directory)


@pytest.mark.parametrize("place", ["file", "environment", "command line"])
@pytest.mark.parametrize(("key", "text", "name", "value"), EACH)
def test_each_option_comes_from_everywhere(
    place: str,
    key: str,
    text: str,
    name: str,
    value: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    options = tls_options(given(place, key, text, tmp_path))
    assert options is not None
    assert getattr(options, name) == value.replace("/dir", str(tmp_path))


def test_without_a_certificate_there_is_no_tls() -> None:
    assert tls_options(Settings()) is None


def settings(*bind: str, **more: Any) -> Settings:
    return Settings(bind=bind, **more)


CERT: dict[str, Any] = {"ssl_certfile": "c.pem"}
MISTAKES: list[tuple[Settings, str]] = [
    (settings(ssl_keyfile="k.pem"), "--ssl-keyfile says how to speak TLS; give --ssl-certfile"),
    (settings(ssl_min_version="1.3"), "--ssl-min-version says how to speak TLS"),
    (settings("tls::443"), "--bind tls::443: it needs TLS; give --ssl-certfile"),
    (settings("redirect::80"), "--bind redirect::80: it needs TLS"),
    (settings("redirect::80", **CERT), "all addresses redirect to https, and none serves it"),
    (settings(ssl_cert_reqs="required", **CERT), "--ssl-cert-reqs required: give the authorities"),
]


@pytest.mark.parametrize(("settings", "message"), MISTAKES, ids=[each[1] for each in MISTAKES])
def test_what_makes_no_sense_together_is_refused(settings: Settings, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        listeners.check_tls(settings, settings.addresses)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("bind", "roles"),
    [
        ((":1", ":2"), ["tls", "tls"]),
        (("tls::1", ":2"), ["tls", ""]),
        ((":1", "redirect::2"), ["tls", "redirect"]),
        (("tls:unix:/x", "redirect:[::1]:2", "fd://3"), ["tls", "redirect", ""]),
    ],
)
def test_who_speaks_tls(bind: tuple[str, ...], roles: list[str]) -> None:
    found = listeners._with_roles(settings(*bind, **CERT), bind)
    assert [role for _, role in found] == roles
    assert [text for text, _ in found] == [
        text.removeprefix("tls:").removeprefix("redirect:") for text in bind
    ]


@pytest.mark.parametrize(("before", "after"), [(None, "c.pem"), ("c.pem", None)])
def test_a_reload_turns_tls_neither_on_nor_off(
    before: str | None, after: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    kept = reload.changed(settings(ssl_certfile=before), settings(ssl_certfile=after))
    assert kept.ssl_certfile == before
    assert "Only SIGUSR2 or a restart changes these: ssl-certfile." in caplog.text


@pytest.mark.parametrize("raw", ["3", "-1", "maybe", "", True])
def test_cert_reqs_refuses(raw: object) -> None:
    with pytest.raises(UsageError, match="is not one of none, optional, required"):
        kinds.read(kinds.CERT_REQS, raw, "--ssl-cert-reqs")


def test_a_bad_secret_is_not_shown() -> None:
    with pytest.raises(UsageError) as caught:
        kinds.read(kinds.SECRET, "hun\ter2", "--ssl-keyfile-password")
    assert "er2" not in str(caught.value)


@pytest.mark.parametrize("how", ["text", "json"])
def test_print_config_hides_the_password(how: str) -> None:
    args = ("--ssl-certfile", "c.pem", "--ssl-keyfile-password", "hunter2")
    shown = run_cli("--print-config", "--log-format", how, *args)
    assert shown.returncode == 0
    assert "hunter2" not in shown.stdout + shown.stderr
    assert "(hidden)" in shown.stdout
    assert "c.pem" in shown.stdout


def test_check_says_which_certificate(pki: SimpleNamespace) -> None:
    files = ("--ssl-certfile", str(pki.chain), "--ssl-keyfile", str(pki.key))
    shown = run_cli("--demo", "--check", *files)
    assert shown.returncode == 0
    assert "valid until" in shown.stdout


@pytest.mark.parametrize("action", [(), ("--check",)])
def test_a_bad_certificate_ends_the_command_before_any_worker(
    action: tuple[str, ...], pki: SimpleNamespace
) -> None:
    files = ("--ssl-certfile", str(pki.chain), "--ssl-keyfile", str(pki.client[1]))
    ended = run_cli("--demo", "--bind", "127.0.0.1:0", *action, *files)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1
    assert "does not belong to the certificate" in ended.stderr
