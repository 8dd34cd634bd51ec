"""Help texts: one screen, everything, and topics, in windows of any width."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from bare_serve.cli import help as texts
from bare_serve.cli import main as cli
from bare_serve.config.options import GROUPS
from bare_serve.config.settings import OPTIONS
from bare_serve.errors import UsageError

CODES = re.compile(r"\x1b\[\d+m")


def test_the_short_text_fits_one_screen() -> None:
    lines = texts.short(80).splitlines()
    assert len(lines) <= 23, "a prompt stands below"
    assert max(map(len, lines)) <= 80
    assert lines[0] == "Usage: bare-serve [OPTIONS] [APP]"
    examples, options = texts.short(80).split("\n\n")[1:3]
    assert len(examples.splitlines()) == 1 + 6
    assert len(options.splitlines()) == 1 + 10
    assert lines[-1].startswith("--help for all")


@pytest.mark.parametrize("width", [20, 40, 79, 80, 100, 300])
def test_every_option_is_there_in_any_window(width: int) -> None:
    lines = texts.whole(width).splitlines()
    assert [line[:-1] for line in lines if re.fullmatch(r"\w[\w ]*:", line)] == [
        *GROUPS,
        "Instead of serving",
    ]
    for option in OPTIONS:
        if option.name != "app":
            assert any(option.flag in line.replace(",", "").split() for line in lines), option.name
    if width >= 60:
        assert max(map(len, lines)) <= min(width, 100)


def test_in_a_narrow_window_the_description_stands_below() -> None:
    narrow = texts.topic("workers", 79)
    assert narrow.startswith("Workers:\n  -w, --workers N|auto\n      Worker proc")
    assert "\n  -w, --workers N|auto    " in texts.topic("workers", 80)


def test_the_default_of_a_pair_is_shown() -> None:
    assert "--counts / --no-counts\n      Count" in texts.topic("--no-counts", 60)
    assert "[default: on]" in texts.topic("counts", 100)
    assert "[default" not in texts.topic("reload", 100)


TOPICS = [
    ("tls", "TLS:"),
    ("TLS", "TLS:"),
    ("logs", "Logging:"),
    ("limit", "Limits:"),
    ("static-files", "Static files:"),
    ("timeouts", "Timeouts:"),
    ("--log-slow", "  --log-slow TIME"),
    ("log_slow", "  --log-slow TIME"),
    ("-b", "  -b, --bind ADDR"),
    ("print-config", "  --print-config [changed]"),
]


@pytest.mark.parametrize(("word", "begins"), TOPICS)
def test_a_topic_is_a_group_or_an_option(word: str, begins: str) -> None:
    assert texts.topic(word, 100).startswith(begins)


@pytest.mark.parametrize(("word", "hint"), [("timeuots", "did you mean timeouts?"), ("zzz", "")])
def test_a_topic_that_there_is_not_names_those_that_there_are(word: str, hint: str) -> None:
    with pytest.raises(UsageError) as refused:
        texts.topic(word, 100)
    assert f"there is no topic '{word}'" in str(refused.value)
    assert hint in str(refused.value)
    assert "The topics are target, network, tls," in str(refused.value)


def test_a_command_has_a_help_of_its_own() -> None:
    with pytest.raises(UsageError, match="see bare-serve status --help"):
        texts.topic("status", 100)


def test_help_needs_no_click() -> None:
    code = (
        "import sys; from bare_serve.cli import main\n"
        "try: main.main(['--help', 'tls'])\n"
        "except SystemExit: assert 'click' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"TLS:\n")


def test_colours_change_no_text() -> None:
    for plain, coloured in (
        (texts.short(80), texts.short(80, colour=True)),
        (texts.whole(70), texts.whole(70, colour=True)),
        (texts.whole(100), texts.whole(100, colour=True)),
    ):
        assert coloured != plain
        assert CODES.sub("", coloured) == plain
    assert "\x1b[36m--check\x1b[0m" in texts.short(80, colour=True)


ASKED = [
    ([], None),
    (["shop:app", "--workers", "2"], None),
    (["--", "--help"], None),
    (["-h"], "Examples"),
    (["shop:app", "-h"], "Examples"),
    (["-h", "tls"], "TLS"),
    (["--help"], "Target"),
    (["--help", "all"], "Target"),
    (["--help=tls"], "TLS"),
    (["--help", "shop:app"], "Target"),
    (["--help", "-w", "2"], "Target"),
    (["--nonsense", "--help"], "Target"),
    (["-h", "--nonsense", "2"], "Examples"),
    (["--help", "--nonsense"], "Target"),
    (["-help"], "Target"),
]


@pytest.mark.parametrize(("line", "first"), ASKED)
def test_what_a_line_asks_for(line: list[str], first: str | None) -> None:
    found = texts.asked(line)
    titles = None if found is None else re.findall(r"^(\w[\w ]*):$", found, re.MULTILINE)
    assert (titles and titles[0]) == first


def test_a_wrong_topic_is_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["--help", "nonsense"])
    assert end.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("bare-serve: error: --help: there is no topic 'nonsense'")
    assert "Traceback" not in err
