"""Drives the Autobahn test suite, which plays a client to our server, and reads its report.

`autobahntestsuite` runs under CPython 2.7 alone. It lives in a virtual environment of its own,
`.venv-autobahn` in the repository, made at the first use: that takes a minute and the network.
Where there is no CPython 2.7 or no network, `wstest` raises Unavailable with the reason.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.support import ROOT

HOME = ROOT / ".venv-autobahn"
AGENT = "bare-serve"
# The last versions that run under CPython 2.7 and go together.
VIRTUALENV = "virtualenv==20.15.1"
SUITE = "autobahntestsuite==25.10.1"

# What a report may say of a case: 7.1.6 and 7.13 are observations, there is no right and wrong.
FINE = {"OK", "INFORMATIONAL"}


class Unavailable(Exception):
    """The suite cannot be had on this machine; says why."""


def python27() -> Path:
    """A CPython 2.7: $PYTHON27, on the PATH, or among pyenv's."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    places = [os.environ.get("PYTHON27"), shutil.which("python2.7")]
    places += map(str, sorted(root.glob("versions/2.7.*/bin/python"), reverse=True))
    probe = "import sys; sys.exit(sys.version_info[:2] != (2, 7))"
    for place in filter(None, places):
        # pyenv's shims are there for versions that are not chosen, too.
        if not subprocess.run([place, "-c", probe], capture_output=True, check=False).returncode:
            return Path(place)
    raise Unavailable("there is no CPython 2.7 here; name one by PYTHON27=/path/to/python2.7")


def wstest() -> Path:
    """The suite's command, installed if need be."""
    command = HOME / "bin" / "wstest"
    ready = HOME / ".ready"
    if not ready.exists():
        python27()  # or there is nothing to be made here
    HOME.mkdir(exist_ok=True)
    with (HOME / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes side by side install it once
        if not ready.exists():
            _install(python27())
            ready.touch()
    return command


def _install(python: Path) -> None:
    tools = HOME / "virtualenv"
    _run(python, "-m", "pip", "install", "--quiet", "--target", tools, VIRTUALENV)
    _run(python, "-m", "virtualenv", "--quiet", HOME, environment={"PYTHONPATH": str(tools)})
    _run(HOME / "bin" / "pip", "install", "--quiet", SUITE)


def _run(*words: str | Path, environment: dict[str, str] | None = None) -> None:
    command = " ".join(map(str, words))
    try:
        done = subprocess.run(
            [str(word) for word in words],
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{command} did not end within 300 s") from None
    if done.returncode:
        raise Unavailable(f"{command} failed: {done.stderr.strip()[-500:]}")


def play(url: str, cases: Iterable[str], directory: Path, seconds: float) -> dict[str, str]:
    """Plays the cases to the server at `url`; what the report says of each that is not fine.

    The number of cases played stands under "played".
    """
    spec = {
        "outdir": str(directory / "report"),
        "servers": [{"agent": AGENT, "url": url}],
        "cases": list(cases),
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    path = directory / "spec.json"
    path.write_text(json.dumps(spec), encoding="utf-8")
    subprocess.run(
        [str(wstest()), "-m", "fuzzingclient", "-s", str(path)],
        cwd=directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        timeout=seconds,
        check=True,
    )
    index = json.loads((directory / "report" / "index.json").read_text(encoding="utf-8"))
    found = {
        case: f"{told['behavior']}, closing {told['behaviorClose']}"
        for case, told in index[AGENT].items()
        if not {told["behavior"], told["behaviorClose"]} <= FINE
    }
    return {**found, "played": str(len(index[AGENT]))}
