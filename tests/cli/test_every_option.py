"""Each option arrives from each source, and a bad value is one message with its place.

A new option needs a line in SAMPLES; without one the first test fails.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bare_serve.cli import main as cli
from bare_serve.config import settings
from bare_serve.config.named import Named
from bare_serve.config.settings import BY_NAME, OPTIONS

# Name: the value as text, as a key of a file has it, as Settings has it, and a text it is not.
Sample = tuple[str, object, object, str]
ON: Sample = ("yes", True, True, "maybe")
OFF: Sample = ("no", False, False, "maybe")
TIME: Sample = ("1500ms", 1.5, 1.5, "1.5 years")
CONTROL = "a\x07b"
SAMPLES: dict[str, Sample] = {
    "app": ("shop:app", "shop:app", "shop:app", CONTROL),
    "interface": ("wsgi", "wsgi", "wsgi", "cgi"),
    "asgi": ("yes", True, "asgi", "maybe"),
    "wsgi": ("yes", True, "wsgi", "maybe"),
    "factory": ON,
    "app_dir": ("/usr", "/usr", Path("/usr"), "/no/such/directory"),
    "demo": ON,
    "bind": (":9000", [":9000"], (":9000",), "9000:x"),
    "host": ("::1", "::1", "::1", CONTROL),
    "port": ("9000", 9000, 9000, "65536"),
    "uds_mode": ("660", "660", 0o660, "rw"),
    "reuse_port": ON,
    "root_path": ("/api/", "/api/", "/api", "api"),
    "forwarded_allow_ips": ("10.0.0.0/8", ["10.0.0.0/8"], ("10.0.0.0/8",), "10.0.0.1/8"),
    "forwarded_headers": ("forwarded", ["forwarded"], ("forwarded",), "x-nothing"),
    "header": ("X-A: b", ["X-A: b"], (("X-A", "b"),), "X-A"),
    "ssl_certfile": ("a.pem", "a.pem", "a.pem", CONTROL),
    "ssl_keyfile": ("a.key", "a.key", "a.key", CONTROL),
    "ssl_keyfile_password": ("s3cret", "s3cret", "s3cret", CONTROL),
    "ssl_ca_certs": ("ca.pem", "ca.pem", "ca.pem", CONTROL),
    "ssl_cert_reqs": ("required", "required", "required", "maybe"),
    "ssl_min_version": ("1.3", "1.3", "1.3", "1.1"),
    "ssl_ciphers": ("ECDHE+AESGCM", "ECDHE+AESGCM", "ECDHE+AESGCM", CONTROL),
    "proxy_protocol": ON,
    "static": ("/assets=/usr", ["/assets=/usr"], (("/assets", "/usr"),), "assets"),
    "static_index": ON,
    "static_immutable": (r"\.[0-9a-f]{8}\.", r"\.[0-9a-f]{8}\.", r"\.[0-9a-f]{8}\.", "("),
    "static_max_age": TIME,
    "static_fallthrough": ON,
    "workers": ("3", 3, 3, "many"),
    "threads": ("3", 3, 3, "0"),
    "wsgi_buffer_chunked": OFF,
    "parser": ("python", "python", "python", "perl"),
    "loop": ("asyncio", "asyncio", "asyncio", "trio"),
    "lifespan": ("off", "off", "off", "maybe"),
    "max_requests": ("7", 7, 7, "-1"),
    "max_requests_jitter": ("7", 7, 7, "-1"),
    "max_memory": ("1MiB", "1MiB", 1 << 20, "1 elephant"),
    "max_lifetime": TIME,
    "preload": ON,
    "user": ("nobody", "nobody", "nobody", CONTROL),
    "group": ("nogroup", "nogroup", "nogroup", CONTROL),
    "umask": ("027", "027", 0o27, "rwx"),
    "pid": ("/run/x.pid", "/run/x.pid", "/run/x.pid", CONTROL),
    "hooks": ("shop.hooks", "shop.hooks", "shop.hooks", CONTROL),
    "timeout_headers": TIME,
    "timeout_body": TIME,
    "timeout_write": TIME,
    "timeout_keep_alive": TIME,
    "timeout_request": TIME,
    "warn_blocked": TIME,
    "timeout_boot": TIME,
    "timeout_worker": TIME,
    "timeout_graceful_shutdown": ("1500ms", 1.5, 1.5, "off"),
    "limit_request_line": ("4KiB", 4096, 4096, "1"),
    "limit_headers": ("7", 7, 7, "0"),
    "limit_header_size": ("4KiB", 4096, 4096, "1"),
    "limit_body": ("4KiB", 4096, 4096, "-1"),
    "limit_concurrency": ("7", 7, 7, "-1"),
    "limit_connections": ("7", 7, 7, "-1"),
    "limit_spool": ("4KiB", 4096, 4096, "-1"),
    "middleware": (
        "gzip:level=9,types=a/b,c/d",
        ["gzip:level=9,types=a/b,c/d"],
        (Named("gzip", (("level", ("9",)), ("types", ("a/b", "c/d")))),),
        "gzip:=9",
    ),
    "ws": ("off", "off", "off", "maybe"),
    "ws_max_size": ("4KiB", 4096, 4096, "0"),
    "ws_ping_interval": TIME,
    "ws_ping_timeout": TIME,
    "ws_compression": OFF,
    "access_log": ("syslog:/dev/log", "syslog:/dev/log", "syslog:/dev/log", "syslog://host:x"),
    "access_log_format": ("%(h)s", "%(h)s", "%(h)s", "%(nothing)s"),
    "access_log_redact": ("a,b", ["a", "b"], ("a", "b"), CONTROL),
    "access_log_skip": ("/health,/a*", ["/health", "/a*"], ("/health", "/a*"), "health"),
    "log_format": ("json", "json", "json", "xml"),
    "log_level": ("debug", "debug", "debug", "loud"),
    "error_log": ("error.log", "error.log", "error.log", CONTROL),
    "capture_output": ON,
    "xray": ("full", "full", "full", "maybe"),
    "xray_filter": ("GET /a*", "GET /a*", "GET /a*", "orders"),
    "xray_bodies": OFF,
    "counts": OFF,
    "log_config": ("log.toml", "log.toml", "log.toml", CONTROL),
    "ops": ("127.0.0.1:9100", "127.0.0.1:9100", "127.0.0.1:9100", "9100:x"),
    "ops_control": ON,
    "ops_token_file": ("token", "token", "token", CONTROL),
    "ops_host": ("ops.example.com", ["ops.example.com"], ("ops.example.com",), "http://a"),
    "drain_delay": TIME,
    "log_slow": TIME,
    "dev": ("yes", None, True, "maybe"),
    "reload": ON,
    "reload_dir": (
        "/usr:/etc",
        ["/usr", "/etc"],
        (Path("/usr"), Path("/etc")),
        "/no/such/directory",
    ),
    "reload_include": ("*.html,*.css", ["*.html", "*.css"], ("*.html", "*.css"), CONTROL),
    "reload_exclude": ("var/*", ["var/*"], ("var/*",), CONTROL),
    "error_page": OFF,
    "live": ON,
    "open": ON,
    "config": ("other.toml", None, "other.toml", "missing.toml"),
    "env_file": ("other.env", None, "other.env", "missing.env"),
}
# A variable of the --env-file cannot name that file.
NOT_IN_ENV_FILE = {"env_file"}
NAMES = [option.name for option in OPTIONS]


def test_every_option_has_a_sample() -> None:
    assert sorted(SAMPLES) == sorted(NAMES), "give the new option a line in SAMPLES"
    for name, (_, _, value, _) in SAMPLES.items():
        assert value != BY_NAME[name].default, f"{name}: the default arrives by itself"


def command_line(name: str, text: str, _directory: Path, _monkeypatch: Any) -> tuple[str, ...]:
    option = BY_NAME[name]
    if name == "app":
        return (text,)
    if not option.kind.switch:
        return (option.flag, text)
    return (option.flag if text == "yes" else f"--no-{option.key}",)


def environment(name: str, text: str, _directory: Path, monkeypatch: Any) -> tuple[str, ...]:
    monkeypatch.setenv(BY_NAME[name].variable, text)
    return ()


def env_file(name: str, text: str, directory: Path, _monkeypatch: Any) -> tuple[str, ...]:
    line = f'{BY_NAME[name].variable}="{text}"'
    (directory / "my.env").write_text(f"# mine\n{line}\n")
    return ("--env-file", "my.env")


def _toml(name: str, raw: object) -> str:
    return f"{BY_NAME[name].key} = {json.dumps(raw)}\n"


def project(name: str, raw: object, directory: Path, _monkeypatch: Any) -> tuple[str, ...]:
    (directory / "pyproject.toml").write_text(f"[tool.bare-serve]\n{_toml(name, raw)}")
    return ()


def own_file(name: str, raw: object, directory: Path, _monkeypatch: Any) -> tuple[str, ...]:
    (directory / "bare-serve.toml").write_text(f"# mine\n{_toml(name, raw)}")
    return ()


def named_file(name: str, raw: object, directory: Path, _monkeypatch: Any) -> tuple[str, ...]:
    (directory / "mine.toml").write_text(f"# mine\n{_toml(name, raw)}")
    return ("--config", "mine.toml")


Source = Callable[[str, Any, Path, Any], tuple[str, ...]]
TEXTS: dict[str, Source] = {
    "command line": command_line,
    "environment": environment,
    "env-file": env_file,
}
FILES: dict[str, Source] = {
    "pyproject.toml": project,
    "bare-serve.toml": own_file,
    "--config": named_file,
}
CASES = [
    (name, source)
    for name in NAMES
    if name in SAMPLES
    for source in (*TEXTS, *FILES)
    if not (source in FILES and SAMPLES[name][1] is None)
    and not (source == "env-file" and name in NOT_IN_ENV_FILE)
]


def taken(monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]) -> tuple[int, Any]:
    """The command's exit code and settings, with what would serve replaced."""
    caught: list[settings.Settings] = []
    monkeypatch.setattr(cli.server, "run", lambda chosen, **_: caught.append(chosen) or 0)
    with pytest.raises(SystemExit) as end:
        cli.main(args)
    return int(end.value.code or 0), caught[0] if caught else None


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for option in OPTIONS:
        for variable in (option.variable, option.platform_variable):
            if variable:
                monkeypatch.delenv(variable, raising=False)
    (tmp_path / "other.toml").write_text("")
    (tmp_path / "other.env").write_text("")
    return tmp_path


@pytest.mark.parametrize(("name", "source"), CASES)
def test_its_value_arrives(
    name: str, source: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, raw, value, _ = SAMPLES[name]
    write = TEXTS.get(source) or FILES[source]
    args = write(name, text if source in TEXTS else raw, directory, monkeypatch)
    code, chosen = taken(monkeypatch, args)
    assert code == 0
    field = (BY_NAME[name].stands_for or (name,))[0]
    assert getattr(chosen, field) == value
    assert chosen.sources[field].startswith(source if source in TEXTS else "file ")


@pytest.mark.parametrize(("name", "source"), CASES)
def test_a_bad_value_is_one_message_with_its_place(
    name: str,
    source: str,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    option = BY_NAME[name]
    bad = SAMPLES[name][3]
    if source == "command line" and (option.kind.switch or name == "xray"):
        args: tuple[str, ...] = (f"{option.flag}=maybe",)
    else:
        write = TEXTS.get(source) or FILES[source]
        args = write(name, bad, directory, monkeypatch)
    code, chosen = taken(monkeypatch, args)
    error = capsys.readouterr().err
    assert (code, chosen) == (2, None)
    assert error.count("error:") == 1
    assert "Traceback" not in error
    places = {
        "command line": "target" if name == "app" else option.flag,
        "environment": option.variable,
        "env-file": f"{directory}/my.env, line 2: {option.variable}",
        "pyproject.toml": f"{directory}/pyproject.toml, line 2: {option.key}",
        "bare-serve.toml": f"{directory}/bare-serve.toml, line 2: {option.key}",
        "--config": f"{directory}/mine.toml, line 2: {option.key}",
    }
    # A file that is not there is named itself.
    place = (
        option.flag if name in ("config", "env_file") and source != "env-file" else places[source]
    )
    assert place in error or f"{directory}/{bad}" in error
