"""An error of ours that a program does not catch is one line; nothing else is touched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bare_serve.errors import UsageError
from bare_serve.logs.uncaught import say_in_one_line


def test_a_wrong_keyword_of_run_is_one_line(tmp_path: Path) -> None:
    script = tmp_path / "serve.py"
    script.write_text("import bare_serve\n\ndef main():\n    bare_serve.run(prot=3)\nmain()\n")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    said = "run() has no option prot; did you mean port?"
    assert done.stderr == f"bare-serve: error: {script}, line 4: {said}\n"
    assert done.returncode == 1


def test_other_exceptions_are_printed_as_ever(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    error = UsageError("this is wrong")
    assert say_in_one_line(error) is error
    sys.excepthook(KeyError, KeyError("other"), None)
    assert capsys.readouterr().err == "KeyError: 'other'\n"
    sys.excepthook(UsageError, error, None)
    assert capsys.readouterr().err == "bare-serve: error: this is wrong\n"


def test_a_hook_of_the_program_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def hook(*_: object) -> None:
        """Do nothing."""

    monkeypatch.setattr(sys, "excepthook", hook)
    say_in_one_line(UsageError("x"))
    assert sys.excepthook is hook
