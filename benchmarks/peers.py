"""The virtual environment of the peers: made once, pinned by constraints.txt, kept up to date.

bare-serve runs in it too (from this checkout, through PYTHONPATH), with the same interpreter and
the same uvloop, httptools and frameworks as everybody else. Each peer is installed by itself, so
one that cannot be installed does not take the others along; it is reported as missing. Another
Python has an environment of its own beside it, `.peers-3.12`, with those peers alone that are
measured on it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

HOME = Path(__file__).parent
PLACE = HOME / ".peers"
PYTHONS = HOME.parent / "tools" / "pythons"
CONSTRAINTS = HOME / "constraints.txt"
APPS = HOME / "apps"
REPOSITORY = HOME.parent
OURS = "bare_serve"

# What to ask for, first choice first: gunicorn's C parser is advised by its docs, but the version
# it wants is not to be had for every Python.
WANTED: dict[str, tuple[str, ...]] = {
    "common": ("click uvloop httptools wsproto websockets flask fastapi",),
    "gunicorn": ("gunicorn[fast]", "gunicorn"),
    "uvicorn": ("uvicorn[standard]",),
    "granian": ("granian[uvloop]",),
    "hypercorn": ("hypercorn",),
    "waitress": ("waitress",),
    "fastpysgi": ("fastpysgi",),
    "py-spy": ("py-spy",),
}
ABROAD = ("common", "uvicorn", "granian")  # on other Pythons
REPORTED = (
    *("gunicorn", "gunicorn_h1c", "uvicorn", "granian", "hypercorn", "waitress", "fastpysgi"),
    *("uvloop", "httptools", "wsproto", "websockets", "flask", "fastapi", "nginx"),
)
SYSTEM_PATHS = "/usr/sbin:/usr/local/sbin"  # where Debian keeps nginx, and no user's PATH has it
_VERSIONS = """
import importlib.metadata, json, platform
found = {d.metadata["Name"].lower(): d.version for d in importlib.metadata.distributions()}
print(json.dumps({"python": platform.python_version(), "packages": found}))
"""


@dataclass(frozen=True, slots=True)
class Environment:
    """A ready environment: where its programs are, what is in it and what could not be had."""

    binaries: str
    python: str  # version
    packages: dict[str, str]
    missing: dict[str, str]  # peer -> why

    def version(self, package: str) -> str:
        return self.packages.get(package.lower().replace("_", "-")) or self.packages.get(
            package.lower(), ""
        )

    def reported(self) -> dict[str, str]:
        return {name: version for name in REPORTED if (version := self.version(name))}


class InstallError(Exception):
    """The environment could not be made at all."""


def _fingerprint(wanted: Mapping[str, object], version: str) -> str:
    content = CONSTRAINTS.read_bytes() + json.dumps(wanted).encode() + version.encode()
    return hashlib.sha256(content).hexdigest()


def other_pythons() -> dict[str, Path]:
    """Return the final releases of CPython found here, by their minor versions, such as 3.12."""
    found = {}
    for line in subprocess.run([PYTHONS], capture_output=True, text=True).stdout.splitlines():
        said = subprocess.run([line, "--version"], capture_output=True, text=True).stdout
        found[said.removeprefix("Python ").rpartition(".")[0]] = Path(line)
    return found


def _install(python: Path, choices: tuple[str, ...]) -> str:
    """Empty when one of the choices got installed, else why the last did not."""
    problem = ""
    for choice in choices:
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        command = [*pip, "--constraint", str(CONSTRAINTS), *choice.split()]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode == 0:
            return ""
        errors = [line for line in result.stderr.splitlines() if line.startswith("ERROR:")]
        problem = errors[-1].removeprefix("ERROR: ") if errors else "pip failed"
    return problem


def prepare(say: Callable[[str], None], *, fresh: bool = False) -> Environment:
    """Make the environment when there is none or when it is out of date, and look into it."""
    return _prepare(PLACE, Path(sys.executable), WANTED, say, fresh=fresh)


def prepare_abroad(version: str, python: Path, say: Callable[[str], None]) -> Environment:
    """Do the same for another Python, such as 3.12."""
    wanted = {name: WANTED[name] for name in ABROAD}
    return _prepare(HOME / f"{PLACE.name}-{version}", python, wanted, say)


def _prepare(
    place: Path,
    base: Path,
    wanted: Mapping[str, tuple[str, ...]],
    say: Callable[[str], None],
    *,
    fresh: bool = False,
) -> Environment:
    """Make or look into the environment at `place`; `base` is the interpreter it is made of."""
    mark = place / "installed.json"
    version = subprocess.run([base, "-VV"], capture_output=True, text=True, check=True).stdout
    fingerprint = _fingerprint(wanted, version)
    state = json.loads(mark.read_text()) if mark.exists() else {}
    python = place / "bin" / "python"
    if fresh or state.get("fingerprint") != fingerprint:
        say(f"making the peers' virtual environment {place.name} (once; about a minute)")
        subprocess.run([base, "-m", "venv", "--clear", place], check=True)
        missing = {}
        for name, choices in wanted.items():
            if problem := _install(python, choices):
                missing[name] = problem
                say(f"  {name}: not installed: {problem}")
        if "common" in missing:
            raise InstallError(f"the peers' environment cannot be made: {missing['common']}")
        state = {"fingerprint": fingerprint, "missing": missing}
        mark.write_text(json.dumps(state))
    # As pip does for the others: a checkout is compiled at its first import, and again at every
    # one where PYTHONDONTWRITEBYTECODE is set, which doubles what a start takes.
    compile_all = [python, "-m", "compileall", "-q", str(REPOSITORY / OURS)]
    subprocess.run(compile_all, check=True, stdout=subprocess.DEVNULL)
    result = subprocess.run([python, "-c", _VERSIONS], capture_output=True, text=True, check=True)
    found = json.loads(result.stdout)
    packages, missing = dict(found["packages"]), dict(state["missing"])
    if nginx := nginx_version():
        packages["nginx"] = nginx
    else:
        missing["nginx"] = "no such program; on Debian and Ubuntu: apt-get install nginx-light"
    return Environment(str(place / "bin"), found["python"], packages, missing)


def nginx_version() -> str:
    """Empty where there is none. It comes from the system: it is no Python package."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:{SYSTEM_PATHS}")
    if program is None:
        return ""
    said = subprocess.run([program, "-v"], capture_output=True, text=True).stderr
    return said.strip().rpartition("/")[2].partition(" ")[0] or "of unknown version"
