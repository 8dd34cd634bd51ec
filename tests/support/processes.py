"""bare-serve as a real process: started on a free port, watched, and always cleaned up.

`serve` is for a server that stays up, `run_cli` for a command that ends by itself (--check, bad
usage). What both it and its users' live servers are made of is `bare_serve.testing.process`.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bare_serve.testing.process import ServerProcess
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]

COMMAND = (sys.executable, "-m", "bare_serve")
BANNER_URL = re.compile(r"(https?)://(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):(\d+)")
BIND_OPTIONS = {"-b", "--bind", "--host", "--port"}
BIND_VARIABLES = {"BARE_SERVE_BIND", "BARE_SERVE_HOST", "BARE_SERVE_PORT", "PORT"}


# Said by the interpreter itself: an error that nobody can catch, a socket left open, a coroutine
# never awaited, something that will not work in a Python to come.
COMPLAINT = re.compile(
    r"^Exception ignored .*|^.*ResourceWarning: .*|^.*was never awaited|^Task was destroyed.*"
    r"|^.*/bare_serve/.*Warning: .*",
    re.MULTILINE,
)


def clean_environment(extra: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """This process's environment without anything that steers bare-serve, plus `extra`.

    A value of None in `extra` removes the name. The repository leads PYTHONPATH. Every warning of
    Python's is shown, so that `serve` sees it, and no compiled file is written.
    """
    steering = {"PORT", "WEB_CONCURRENCY", "NO_COLOR", "FORCE_COLOR", "DJANGO_SETTINGS_MODULE"}
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in steering and not name.startswith("BARE_SERVE_")
    }
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH")]))
    env["PYTHONWARNINGS"] = "default"
    env["PYTHONDONTWRITEBYTECODE"] = "1"  # applications are written anew within a second
    for name, value in (extra or {}).items():
        if value is None:
            env.pop(name, None)
        else:
            env[name] = value
    return env


def is_alive(pid: int) -> bool:
    """Whether the process runs; a zombie nobody has reaped yet counts as dead."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def halt(pid: int) -> None:
    """Stop a process by SIGSTOP, and return when it does nothing more."""
    os.kill(pid, signal.SIGSTOP)
    threads = Path(f"/proc/{pid}/task")

    def stands() -> bool:
        stats = [(each / "stat").read_text(errors="replace") for each in threads.iterdir()]
        return all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)

    eventually(stands, f"process {pid} to stand still")


def children_of(pid: int) -> list[int]:
    """The live children of a process, oldest first."""
    found: list[tuple[int, int]] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[1]) == pid and fields[0] not in "ZX":
                found.append((int(fields[19]), int(entry.name)))
    return [child for _, child in sorted(found)]


class Server(ServerProcess):
    """One running bare-serve. Made by `serve`."""

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port

    @property
    def workers(self) -> list[int]:
        """The pids of the live worker processes."""
        return children_of(self.pid)

    def wait(self, timeout: float = 20) -> int:
        """As of `ServerProcess`; a failure says where each process of the server stands."""
        try:
            return super().wait(timeout)
        except subprocess.TimeoutExpired as late:
            late.add_note("\n".join(_where_they_stand(self.pid)))
            raise

    def wait_for_output(self, text: str, timeout: float = 15) -> str:
        """Waits until `text` has been written and returns all the output."""
        eventually(lambda: text in self.output, f"{text!r} in the output", timeout)
        return self.output


def _where_they_stand(master: int) -> Iterator[str]:
    """Yields the state of the master and of its children, and the stacks of its workers."""
    for pid in (master, *children_of(master)):
        with suppress(OSError):
            state = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
            told = [line for line in state if line.startswith(("Name", "State", "Sig", "Shd"))]
            waits = Path(f"/proc/{pid}/wchan").read_text(errors="replace")
            yield f"process {pid}, in {waits}: {', '.join(map(' '.join, map(str.split, told)))}"
    with suppress(subprocess.TimeoutExpired):
        stacks = run_cli("stacks", "--all", str(master), timeout=10)
        yield stacks.stdout + stacks.stderr


@contextmanager
def serve(
    *args: str,
    cwd: Path | None = None,
    env: Mapping[str, str | None] | None = None,
    source: str | None = None,
    ready: bool = True,
    command: Sequence[str] = COMMAND,
) -> Iterator[Server]:
    """Runs `python -m bare_serve *args` until the block ends.

    It is bound to a free port of 127.0.0.1, unless `args` or `env` say where to bind.
    `source` is written to `app.py` in the working directory, which is `cwd` or a new one.
    With `ready=False` the block begins at once. Output is added to a failure as a note. What Python
    complains of in the server, where nobody can catch it, is a failure.
    """
    with tempfile.TemporaryDirectory(prefix="bare-serve-test-") as scratch:
        directory = cwd or Path(scratch) / "cwd"
        directory.mkdir(exist_ok=True)
        if source is not None:
            (directory / "app.py").write_text(source, encoding="utf-8")
        if not (
            BIND_OPTIONS & {arg.split("=")[0] for arg in args} or BIND_VARIABLES & {*(env or ())}
        ):
            args = (*args, "--bind", "127.0.0.1:0")
        server = Server(
            [*command, *args], cwd=directory, env=clean_environment(env), scratch=Path(scratch)
        )
        try:
            if ready:
                server.wait_until_ready()
            yield server
        except BaseException as exc:
            exc.add_note(f"bare-serve {' '.join(args)} wrote:\n{server.output}")
            raise
        finally:
            server.cleanup()
        complaints = COMPLAINT.findall(server.output)
        assert not complaints, f"{complaints} in what bare-serve {' '.join(args)} wrote"


def run_cli(
    *args: str,
    cwd: Path | None = None,
    env: Mapping[str, str | None] | None = None,
    timeout: float = 30,
) -> subprocess.CompletedProcess[str]:
    """Runs `python -m bare_serve *args` to its end; stdout and stderr are apart, as text."""
    return subprocess.run(
        [*COMMAND, *args],
        cwd=cwd,
        env=clean_environment(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
