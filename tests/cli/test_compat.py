"""Flags of other servers: each is an alias that works, or is answered by what to use here."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from bare_serve.cli import main as cli
from bare_serve.cli.compat import translate
from bare_serve.config import settings
from bare_serve.config.foreign import BY_FLAG, SENSIBLE_THREADS, TABLE, by_key
from bare_serve.config.settings import BY_NAME, OPTIONS
from bare_serve.errors import UsageError

OURS = {flag for option in OPTIONS for flag in (option.flag, option.short)}
VALUES = {
    "--access-logfile": ("access.log", "access.log"),
    "--access-logformat": ("%(h)s", "%(h)s"),
    "--loglevel": ("debug", "debug"),
    "--asgi-lifespan": ("off", "off"),
    "--asgi-loop": ("asyncio", "asyncio"),
    "--error-logfile": ("error.log", "error.log"),
    "--log-file": ("-", "-"),
    "--log-config-json": ("log.json", "log.json"),
    "--http-parser": ("fast", "httptools"),
    "--http": ("h11", "python"),
    "-g": ("nogroup", "nogroup"),
    "-m": ("027", 0o27),
    "-p": ("x.pid", "x.pid"),
    "-u": ("nobody", "nobody"),
    "--reload-extra-file": ("a.html", ("a.html",)),
    "--uds": ("/run/x.sock", ("unix:/run/x.sock",)),
    "--fd": ("3", ("fd://3",)),
    "--certfile": ("c.pem", "c.pem"),
    "--keyfile": ("k.pem", "k.pem"),
    "--ca-certs": ("ca.pem", "ca.pem"),
    "--cert-reqs": ("2", "required"),
    "--ciphers": ("HIGH", "HIGH"),
}
ACTIONS = {"--check", "--print-config", "--version", "--help", "-h"}
# The flags that the others list in their --help.
PEERS: dict[str, list[str]] = json.loads(
    Path(__file__).with_name("peer_options.json").read_text(encoding="utf-8")
)


ALIASES = {flag: row for flag, row in BY_FLAG.items() if row.option and flag not in OURS}
ANSWERS = {flag: row for flag, row in BY_FLAG.items() if not row.option and flag not in OURS}


@pytest.mark.parametrize(
    ("peer", "flag"), [(peer, flag) for peer, flags in PEERS.items() for flag in flags]
)
def test_each_flag_of_the_others_is_ours_or_an_alias_or_answered(
    peer: str, flag: str, root: Path
) -> None:
    assert flag in OURS | ACTIONS | BY_FLAG.keys()
    page = (root / "docs/migrating.md").read_text(encoding="utf-8")
    assert flag in OURS | ACTIONS or f"`{flag}`" in page


def test_the_table_has_each_name_once() -> None:
    flags = [flag for row in TABLE for flag in row.flags]
    assert len(flags) == len(set(flags))
    keys = [key for row in TABLE for key in set(row.names)]
    assert len(keys) == len(set(keys))
    for row in TABLE:
        assert bool(row.option) != bool(row.text), row.flags
        assert not (row.option and row.idle), row.flags
        assert not row.option or row.option in BY_NAME
        assert by_key(row.names[0]) is row if row.names else row.flags


def run(monkeypatch: pytest.MonkeyPatch, *args: str) -> tuple[int, settings.Settings | None]:
    """The command, with what would serve replaced by what takes the settings."""
    taken: list[settings.Settings] = []
    monkeypatch.setattr(cli.server, "run", lambda chosen, **_: taken.append(chosen) or 0)
    with pytest.raises(SystemExit) as end:
        cli.main(args)
    return int(end.value.code or 0), taken[0] if taken else None


@pytest.mark.parametrize("flag", sorted(ALIASES))
def test_an_alias_sets_our_option(
    flag: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    row = ALIASES[flag]
    raw, expected = VALUES.get(flag, ("7", None))
    code, chosen = run(monkeypatch, flag, *([] if row.value is not None else [raw]))
    assert code == 0
    assert chosen is not None
    assert chosen.sources[row.option] == "command line"
    got = getattr(chosen, row.option)
    if expected is not None:
        assert got == expected
    elif row.value is None and raw == "7":
        assert got == 7
    elif flag == "--no-access-log":
        assert got == "off"


@pytest.mark.parametrize("flag", sorted(ANSWERS))
def test_a_flag_that_is_none_here_is_answered(
    flag: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    row = ANSWERS[flag]
    value = "gevent" if flag in ("-k", "--worker-class") else "x.py" if flag == "-c" else "x"
    line = [flag] if row.switch else [flag, value]
    code, chosen = run(monkeypatch, *line, "--print-config", "shop:app")
    error = capsys.readouterr().err
    if row.idle:
        assert f"Left out, since they mean nothing here: {flag} ({row.text})." in error
    else:
        assert (code, chosen) == (2, None)
        assert "error: an option of another server:\n" in error
        assert f"  {' '.join(line)}  {row.verdict(value).text}\n" in error


@pytest.mark.parametrize("row", TABLE, ids=lambda row: "-".join(row.flags))
def test_an_answer_names_only_flags_that_exist(row: Any) -> None:
    switches = {f"--no-{option.key}" for option in OPTIONS if option.kind.switch}
    for value in ("gevent", "sync", "v1", "off"):
        verdict = row.verdict(value)
        for named in re.findall(r"--[a-z-]+[a-z]", f"{row.text} {verdict.text} {verdict.instead}"):
            assert named in OURS | switches | ACTIONS | {"--migrate"}


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("--log-syslog-to udp://log:514", "--access-log syslog://log:514"),
        ("--log-syslog-to unix:///dev/log#dgram", "--access-log syslog:/dev/log"),
        ("--log-syslog-to tcp://log:514", ""),
        ("--chdir x --pythonpath y", "--app-dir x"),
        ("--pythonpath y,z", ""),
        ("--timeout", ""),
    ],
)
def test_what_remains_is_a_line_that_can_be_run(line: str, left: str) -> None:
    with pytest.raises(UsageError) as caught:
        translate([*line.split(), "shop:app"] if line[-1] != "t" else ["shop:app", line], {})
    remains = str(caught.value).splitlines()[-1].split()
    assert [word for word in remains if word not in ("bare-serve", "shop:app")] == left.split()


@pytest.mark.parametrize("value", ["TRACE", "Trace", "debug", "DEBUG"])
def test_levels_may_be_in_capitals_as_there(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in (["--log-level", value, "shop:app"], ["--log-level", value, "-w", "2", "shop"]):
        code, chosen = run(monkeypatch, *line)
        assert code == 0
        assert chosen is not None
        assert chosen.log_level == "debug"


def test_a_target_behind_a_switch_of_theirs_is_no_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, chosen = run(monkeypatch, "--access-log", "shop:app")
    assert code == 0
    assert chosen is not None
    assert (chosen.app, chosen.access_log) == ("shop:app", "-")


LINES = {
    "app:app --reload --host 0.0.0.0 --port 80 --proxy-headers --log-level debug": [
        ("--proxy-headers", "use --forwarded-allow-ips"),
        "bare-serve app:app --reload --host 0.0.0.0 --port 80 --forwarded-allow-ips 127.0.0.1 "
        "--log-level debug",
    ],
    "-k gevent -w4 --timeout=0 --worker-tmp-dir /dev/shm --backlog 9 -e A=b -e 'C=d e' app": [
        ("-k gevent", "--threads"),
        ("--timeout=0", "use --timeout-worker"),
        ("-e A=b", "put it in front"),
        ("-e C=d e", "put it in front"),
        f"A=b 'C=d e' bare-serve --threads {SENSIBLE_THREADS} -w4 --timeout-worker off app",
    ],
    "--proxy-protocol v1 app:app": [
        ("--proxy-protocol v1", "write --proxy-protocol alone, for on, or leave it out"),
        "bare-serve --proxy-protocol app:app",
    ],
    "--daemon --proxy-protocol off --loglevel trace app:app": [
        ("--daemon", "let systemd"),
        ("--proxy-protocol off", "leave it out"),
        "bare-serve --log-level=debug app:app",
    ],
    "-D --nonsense=1 app:app -- --daemon": [
        ("-D", "let systemd"),
        "bare-serve --nonsense=1 app:app -- --daemon",
    ],
}


@pytest.mark.parametrize("line", LINES)
def test_all_is_told_at_once_and_what_the_line_is_here(line: str) -> None:
    *answers, remains = LINES[line]
    with pytest.raises(UsageError) as caught:
        translate(shlex.split(line), {})
    told = str(caught.value).splitlines()
    assert told[-1] == f"  {remains}"
    assert told[-2] == "What remains, to be run once that is decided:"
    shown = [each for each in told[1:-2] if each.startswith("  ")]
    assert len(shown) == len(answers)
    for (written, text), row in zip(answers, shown, strict=True):
        assert row.startswith(f"  {written} ")
        assert text in row
    left_out = [each for each in told if each.startswith("Left out")]
    assert bool(left_out) == ("--backlog" in line)


PASSED_ON = {
    "-k uvicorn.workers.UvicornWorker app:app": ("app:app", "-k (there are no worker classes"),
    "--worker-class gthread app:app": ("app:app", "--worker-class (there are"),
    "--access-log app:app": ("app:app", "--access-log (it is written"),
    "app:app --access-log": ("app:app", "--access-log (it is written"),
    "--access-log --demo": ("--demo", "--access-log (it is written"),
    "--access-log a.log app:app": ("--access-log a.log app:app", ""),
    "--access-log syslog:h app:app": ("--access-log syslog:h app:app", ""),
    "--proxy-headers --forwarded-allow-ips 10.0.0.1 a:b": (
        "--forwarded-allow-ips 10.0.0.1 a:b", "--proxy-headers (--forwarded-allow-ips says it)",
    ),
    "--ws websockets --interface=asgi3 a:b": ("--ws auto --interface asgi a:b", ""),
    "--uds a --uds b a:b": ("--bind=unix:a --bind=unix:b a:b", ""),
    "--keep-alive": ("--timeout-keep-alive", ""),
    "-c settings.toml a:b": ("--config settings.toml a:b", ""),
    "--backlog": ("", "--backlog (the queue"),
    "-w4 -b:80 a:b": ("-w4 -b:80 a:b", ""),
    "- -- --reload": ("- -- --reload", ""),
}  # fmt: skip


@pytest.mark.parametrize("line", PASSED_ON)
def test_what_asks_for_nothing_to_be_decided_is_passed_on(line: str) -> None:
    expected, remark = PASSED_ON[line]
    found = translate(shlex.split(line), {})
    assert found.args == shlex.split(expected)
    assert len(found.remarks) == bool(remark)
    assert all(each.startswith(remark) for each in found.remarks)


def test_a_variable_decides_as_well() -> None:
    environ = {"FORWARDED_ALLOW_IPS": "*"}
    assert translate(["--proxy-headers", "a:b"], environ).args == ["a:b"]


UNREAD = {
    "gunicorn.conf.py is not read; bare-serve --migrate gunicorn.conf.py shows": {},
    "GUNICORN_CMD_ARGS is set and not read": {"GUNICORN_CMD_ARGS": "-w 2"},
    "UVICORN_HOST, UVICORN_WS_MAX_SIZE are set and not read": {
        "UVICORN_HOST": "::", "UVICORN_WS_MAX_SIZE": "1", "UVICORN_PORT_80_TCP_ADDR": "10.0.0.1",
    },
}  # fmt: skip


@pytest.mark.parametrize("text", UNREAD)
@pytest.mark.parametrize("own_file", [False, True])
def test_what_is_there_and_not_read_is_one_line(
    text: str,
    own_file: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in UNREAD[text].items():
        monkeypatch.setenv(name, value)
    in_file = not UNREAD[text]
    if in_file:
        (tmp_path / "gunicorn.conf.py").write_text("1 / 0")
    if own_file:
        (tmp_path / "bare-serve.toml").write_text("port = 80\n")
    assert run(monkeypatch, "--print-config")[0] == 0
    error = capsys.readouterr().err
    assert (text in error) is not (in_file and own_file)
    assert error.count("\n") == (text in error)


@pytest.mark.parametrize("how", ["command line", "environment"])
def test_a_file_of_python_is_answered_as_c_is(
    how: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "gunicorn.conf.py"
    path.write_text("workers = 2\n")
    if how == "environment":
        monkeypatch.setenv("BARE_SERVE_CONFIG", path.name)
    code, _ = run(monkeypatch, *(["--config", path.name] if how == "command line" else []))
    assert code == 2
    said = (
        f"CONFIG: {path} is Python, and settings are TOML: bare-serve --migrate {path.name} makes"
    )
    assert said in capsys.readouterr().err.replace("--config", "CONFIG")


def test_an_alias_beside_its_option_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = run(monkeypatch, "--no-access-log", "--access-log", "x")
    assert code == 2
    assert "--no-access-log and --access-log are the same" in capsys.readouterr().err
