"""Flags of other servers: each is an alias that works, or is answered by what to use here."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bare_serve.cli import main as cli
from bare_serve.cli.command import command
from bare_serve.cli.compat import ANSWERS, SAME
from bare_serve.config import settings
from bare_serve.config.settings import BY_NAME, OPTIONS

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


@pytest.mark.parametrize(
    ("peer", "flag"), [(peer, flag) for peer, flags in PEERS.items() for flag in flags]
)
def test_each_flag_of_the_others_is_ours_or_an_alias_or_answered(
    peer: str, flag: str, root: Path
) -> None:
    on_command_line = {name for parameter in command.params for name in parameter.opts}
    assert flag in OURS | ACTIONS | on_command_line
    page = (root / "docs/migrating.md").read_text(encoding="utf-8")
    assert flag in OURS | ACTIONS or f"`{flag}`" in page
    if flag in OURS:
        assert flag not in SAME.keys() | ANSWERS.keys() or flag not in page


def run(monkeypatch: pytest.MonkeyPatch, *args: str) -> tuple[int, settings.Settings | None]:
    """The command, with what would serve replaced by what takes the settings."""
    taken: list[settings.Settings] = []
    monkeypatch.setattr(cli.server, "run", lambda chosen, **_: taken.append(chosen) or 0)
    with pytest.raises(SystemExit) as end:
        cli.main(args)
    return int(end.value.code or 0), taken[0] if taken else None


@pytest.mark.parametrize("flag", sorted(set(SAME) - OURS))
def test_an_alias_sets_our_option(
    flag: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    same = SAME[flag]
    assert same.option in BY_NAME
    raw, expected = VALUES.get(flag, ("7", None))
    code, chosen = run(monkeypatch, flag, *([] if same.value is not None else [raw]))
    assert code == 0
    assert chosen is not None
    assert chosen.sources[same.option] == "command line"
    got = getattr(chosen, same.option)
    if expected is not None:
        assert got == expected
    elif same.value is None and raw == "7":
        assert got == 7
    elif flag == "--no-access-log":
        assert got == "off"


@pytest.mark.parametrize("flag", sorted(set(ANSWERS) - OURS))
def test_a_flag_that_is_none_here_is_answered(
    flag: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, chosen = run(monkeypatch, flag, *([] if ANSWERS[flag].switch else ["x"]))
    error = capsys.readouterr().err
    assert (code, chosen) == (2, None)
    assert f"{flag} is an option of another server: {ANSWERS[flag].text}" in error


@pytest.mark.parametrize("flag", ANSWERS)
def test_an_answer_names_only_flags_that_exist(flag: str) -> None:
    switches = {f"--no-{option.key}" for option in OPTIONS if option.kind.switch}
    switches |= ACTIONS
    for named in re.findall(r"--[a-z-]+[a-z]", ANSWERS[flag].text):
        assert named in OURS | switches


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
    said = f"CONFIG: {path} is Python, and settings are TOML: keys as in bare-serve.toml; "
    assert said in capsys.readouterr().err.replace("--config", "CONFIG")


@pytest.mark.parametrize("value", ["v1", "off"])
def test_the_value_that_others_want_behind_a_switch(
    value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--proxy-protocol", value, "app:app")[0] == 2
    assert (
        f"--proxy-protocol {value}: write --proxy-protocol alone, for on, or"
        in capsys.readouterr().err
    )


def test_an_alias_beside_its_option_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = run(monkeypatch, "--no-access-log", "--access-log", "x")
    assert code == 2
    assert "--no-access-log and --access-log are the same" in capsys.readouterr().err
