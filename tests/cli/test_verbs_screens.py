"""The screens of `status` and `top` at 80 columns and 24 lines; what varies is masked."""

from __future__ import annotations

import os
import pty
import re
import signal
import struct
import sys
from pathlib import Path

import pytest

from bare_serve.cli.verbs import screen
from bare_serve.cli.verbs.dumps import parse, thread_lines
from tests.support import Server, clean_environment, eventually, run_cli, serve

fcntl = pytest.importorskip("fcntl")
termios = pytest.importorskip("termios")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memfd_create(2), /proc")

APP = Path(__file__).parent / "verbs_app.py"

STATUS = """\
app:wsgi  WSGI  1 of 1 workers serve  pid N
up T, generation N  bare-serve V  http://N.N.N.N:N
no reload so far
settings bind=N.N.N.N:N access-log=off
R req/s  in flight N  p50 -  p99 -  connections N
since the start: 2xx N  5xx N  refused N  in S  out S

# pid state age requests req/s flight busy p50/p99 PSS CPU sign
N N serving T N R N B - S C T"""


def masked(text: str, version: str) -> str:
    """Each number, time and size as one letter, and columns one blank apart."""
    text = text.replace(version, "V")
    for pattern, letter in (
        (r"(?<=up )\S+?(?=,)", "T"),
        (r"(?<=serving ) *\S+", "T"),
        (r"(-|\d+/\d+)(?= +- +\S+ +\S+ +\S+$)", "B"),
        (r"(?<=T)(.*) (-|\d+%)( +)\S+$", r"\1 C\3T"),
        (r"\b\d+(\.\d)?[BKMGT]\b", "S"),
        (r"(-|[\d.]+)(?= req/s)", "R"),
        (r"(?<=T)( +\d+) +(-|[\d.]+)( +\d)", r"\1 R\3"),
        (r"\d+", "N"),
    ):
        text = re.sub(pattern, letter, text, flags=re.MULTILINE)
    return re.sub(r" +$", "", re.sub(r"(?<=\S) {1,}(?=\S)", " ", text), flags=re.MULTILINE)


def version() -> str:
    from bare_serve.version import __version__

    return __version__


def expected() -> str:
    return re.sub(r"\d+", "N", re.sub(r"(?<=\S) +(?=\S)", " ", STATUS))


class Terminal:
    """`bare-serve top` on a terminal of 80 columns and 24 lines."""

    def __init__(self, running: Server) -> None:
        words = [sys.executable, "-m", "bare_serve", "top", "--every", "0.3", str(running.pid)]
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(sys.executable, words, {**clean_environment(), "TERM": "xterm"})
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.output = ""

    def read(self) -> str:
        import select

        while select.select([self.fd], [], [], 0)[0]:
            try:
                data = os.read(self.fd, 65536)
            except OSError:  # EIO: the other end is closed
                break
            if not data:
                break
            self.output += data.decode()
        return self.output

    def screen(self) -> str:
        """The last screen that was drawn whole, without what moves the cursor."""
        drawn = [each for each in self.read().split("\x1b[H")[1:] if each.endswith("\x1b[J")]
        return re.sub(r"\x1b\[\??[\d;]*[A-Za-z]", "", drawn[-1]) if drawn else ""

    def key(self, key: bytes) -> None:
        os.write(self.fd, key)

    def wait(self) -> int:
        _, code = os.waitpid(self.pid, 0)
        self.read()
        os.close(self.fd)
        return os.waitstatus_to_exitcode(code)


def test_status_and_top_are_as_they_should_be_and_keys_act() -> None:
    args = ("--access-log", "off", "--bind", "127.0.0.1:0")
    with serve("app:wsgi", *args, source=APP.read_text("utf-8")) as running:
        text = run_cli("status", str(running.pid)).stdout
        assert masked(text.rstrip("\n"), version()) == expected()
        top = Terminal(running)
        shown = eventually(
            lambda: found if "no reload so far" in (found := top.screen()) else "", "a screen"
        )
        lines = shown.split("\r\n")
        assert len(lines) == 24
        assert max(map(len, lines)) <= 80
        assert lines[-1] == "r reload  + one more  - one fewer  s stacks  q quit"
        body = "\n".join(lines[:-1]).rstrip("\n")
        assert masked(body, version()) == expected()
        top.key(b"+")
        running.wait_for_output("Now 2 workers")
        top.key(b"s")
        eventually(lambda: "any key: back" in top.screen(), "stacks")
        top.key(b" ")
        top.key(b"r")
        running.wait_for_output("Reloading")
        eventually(lambda: "2 of 2 workers serve" in top.screen(), "the second worker")
        top.key(b"q")
        assert top.wait() == 0
        assert top.output.endswith("\x1b[?25h\x1b[?1049l")
        assert running.process.poll() is None


def test_top_ends_with_its_server_and_needs_a_terminal() -> None:
    with serve("app:wsgi", source=APP.read_text("utf-8")) as running:
        refused = run_cli("top", str(running.pid))
        assert refused.returncode == 2
        assert "top needs a terminal" in refused.stderr
        rows = run_cli("top", "--json", "--rounds", "2", "--every", "0.1", str(running.pid))
        assert len(rows.stdout.splitlines()) == 2
        top = Terminal(running)
        eventually(lambda: "workers serve" in top.screen(), "a screen")
        running.stop(signal.SIGTERM)
        assert top.wait() == 0
        assert f"Server {running.pid} has ended." in top.output


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0s"), (9.94, "9.9s"), (59, "59s"), (61, "1m1s"), (3600, "1h"), (273600, "3d4h")],
)
def test_spans(seconds: float, text: str) -> None:
    assert screen.span(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "-"), (0, "0B"), (1023, "1023B"), (1536, "1.5K"), (22 << 20, "22M"), (3 << 40, "3.0T")],
)
def test_sizes(count: float | None, text: str) -> None:
    assert screen.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.001, "<5ms"), (0.084, "84ms"), (2.1, "2.1s"), (10, ">10s")],
)
def test_quantiles_claim_no_more_than_is_known(seconds: float | None, text: str) -> None:
    assert screen.quick(seconds) == text


DUMP = """\
rubbish \x1b[31m
Thread 0x00007f36caa6eb80 (most recent call first):
  File "/usr/lib/python3.11/re/__init__.py", line 166 in match
  File "/srv/shop/\x1b[31mviews.py", line 7 in app
  File "/srv/lib/bare_serve/wsgi/service.py", line 80 in call
  File "/usr/lib/python3.11/threading.py", line 982 in run

Current thread 0x0000000000000001 [bare-serve-1] (most recent call first):
  File "/srv/lib/bare_serve/workers/poller.py", line ??? in poll
  File "/srv/shop/serve.py", line 3 in <module>
"""


def test_dumps_are_parsed_and_a_servers_frames_are_folded() -> None:
    busy, idle = parse(DUMP)
    assert (busy.ident, busy.rank) == (0x7F36CAA6EB80, 0)
    assert (idle.ident, idle.rank) == (1, 2)
    assert idle.frames[0].line == 0
    assert thread_lines(busy, everything=False) == [
        "     /usr/lib/python3.11/re/__init__.py:166 in match",
        r"   > /srv/shop/\x1b[31mviews.py:7 in app",
        "     ... 2 more, of the server",
    ]
    assert len(thread_lines(busy, everything=True)) == 4
