"""What ps and top see of a process: its title, within the place of its command line."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bare_serve.system import titles
from tests.support import RawClient, clean_environment, eventually, serve

TARGET = "bare_serve.app.demo:asgi"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc")

PROGRAM = """
import sys
from pathlib import Path
from bare_serve.system.titles import set_title
me = Path("/proc/self")
line, variables = (me / "cmdline").read_bytes(), (me / "environ").read_bytes()
for title in ("bare-serve: master shop:app, 2 workers", "x" * 5000, "caf\\u00e9\\n", ""):
    set_title(title, f"name \\u00e9 of {title}")
    seen = (me / "cmdline").read_bytes()
    assert len(seen) == len(line), seen
    wanted = title.replace("\\u00e9", "?").replace("\\n", "?").encode()[: len(line) - 1]
    assert seen.rstrip(b"\\0") == wanted, seen
    assert seen.endswith(b"\\0"), "the kernel would read on"
    name = (me / "comm").read_bytes()
    assert name.startswith(b"name ? of ") and len(name) <= 16, name
assert (me / "environ").read_bytes() == variables
assert sys.orig_argv[-1] == sys.argv[-1] == "a-long-word-that-leaves-room-for-the-title"
print("kept")
"""


def test_a_title_is_written_to_its_place_and_nowhere_else() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "a-long-word-that-leaves-room-for-the-title"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("kept\n", "")


@pytest.mark.parametrize("place", [(0, 0), (0, 1 << 20), (4096, 4096 + titles._LEAST)])
def test_where_there_is_no_place_nothing_happens(
    place: tuple[int, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(titles, "_COMM_FILE", str(tmp_path / "comm"))
    monkeypatch.setattr(titles, "_place", lambda: place)
    before = Path("/proc/self/cmdline").read_bytes()
    titles.set_title("a title that is not shown", "name")
    assert Path("/proc/self/cmdline").read_bytes() == before


def shown(pid: int) -> tuple[str, str]:
    """Return the title and the name of a process."""
    place = Path(f"/proc/{pid}")
    line = (place / "cmdline").read_text().rstrip("\0")
    return line, (place / "comm").read_text().rstrip("\n")


def test_master_and_workers_say_what_they_are() -> None:
    with serve("--demo", "-w", "2", "--no-access-log", "--log-level", "info") as server:
        server.wait_for_output("All 2 workers are ready")
        assert shown(server.pid) == (f"bare-serve: master {TARGET}, 2 workers", "bare-serve")
        wanted = {(f"bare-serve: worker {number}", f"bare-serve w{number}") for number in (1, 2)}
        assert {shown(pid) for pid in server.workers} == wanted
        server.send_signal(signal.SIGTTOU)
        title = f"bare-serve: master {TARGET}, 1 worker"
        eventually(lambda: shown(server.pid)[0] == title, "the other count")


@pytest.mark.long
def test_a_replacement_has_titles_as_well_since_its_command_line_is_kept() -> None:
    with serve("--demo", "--no-access-log") as server:
        before = set(server.workers)
        server.send_signal(signal.SIGUSR2)
        one = [("bare-serve: worker 1", "bare-serve w1")]
        eventually(
            lambda: not before & set(server.workers) and [*map(shown, server.workers)] == one,
            "the new program's worker",
            30,
        )
        assert shown(server.pid)[0].startswith(f"bare-serve: master {TARGET}, ")
        with RawClient(server.address) as client:
            assert client.request().status == 200
