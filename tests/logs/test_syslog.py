"""The access log in a syslog: its address, its lines, and what becomes of them."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bare_serve.errors import UsageError
from bare_serve.logs.access_log import AccessLog
from bare_serve.logs.syslog import SyslogAddress, SyslogSink, parse_syslog
from tests.support import RawClient, serve
from tests.support.answers import Answer, request


def record(log: AccessLog, target: bytes = b"/") -> None:
    log.record("::1", request(target), Answer(200, 2), 0.001)


ADDRESSES = [
    ("syslog:", SyslogAddress(path="/dev/log")),
    ("syslog:/run/log", SyslogAddress(path="/run/log")),
    ("syslog://host", SyslogAddress(host="host")),
    ("syslog://host:10", SyslogAddress(host="host", port=10)),
    ("syslog://[::1]:10", SyslogAddress(host="::1", port=10)),
    ("syslog:?facility=local3&tag=shop", SyslogAddress(path="/dev/log", facility=19, tag="shop")),
]


@pytest.mark.parametrize(("text", "address"), ADDRESSES)
def test_addresses_of_a_syslog(text: str, address: SyslogAddress) -> None:
    assert parse_syslog(text) == address


@pytest.mark.parametrize(
    "text",
    ["syslog://", "syslog://host:x", "syslog:?facility=none", "syslog:?tag=a b", "syslog:?x=1"],
)
def test_what_is_no_address_of_a_syslog(text: str) -> None:
    with pytest.raises(UsageError):
        parse_syslog(text)


def test_a_host_that_cannot_be_one() -> None:
    with pytest.raises(UsageError, match="this is no host's name"):
        SyslogSink(parse_syslog(f"syslog://{'a' * 70}"))


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(10)
        yield sock


def test_a_remote_syslog_gets_rfc_5424(receiver: socket.socket) -> None:
    port = receiver.getsockname()[1]
    with serve("--demo", "--access-log", f"syslog://127.0.0.1:{port}?facility=local0") as server:
        with RawClient(server.address) as client:
            client.request("GET", "/one")
        line = receiver.recv(9000).decode()
        pids = "|".join(map(str, server.workers))
        assert server.stop() == 0
    head = rf"<134>1 \d{{4}}-\d\d-\d\dT[\d:]{{8}}\.\d{{6}}Z \S+ bare-serve ({pids}) access - "
    assert re.fullmatch(head + r"\S+ \S+ 127\.0\.0\.1 GET /one HTTP/1\.1 200 .*ms", line)


def test_a_local_syslog_gets_what_syslog_3_writes_and_is_found_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = str(tmp_path / "log")
    log = AccessLog(SyslogSink(SyslogAddress(path=path, tag="shop")))
    record(log)
    log.flush()
    assert "drops lines until it works again: No such file" in caplog.text
    for round_ in range(2):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
            daemon.bind(path)
            daemon.settimeout(10)
            if round_:  # the socket of before is gone: one line finds that out
                record(log)
                log.flush()
            record(log, b"/a\nb")
            log.flush()
            line = daemon.recv(9000).decode()
        Path(path).unlink()
        assert re.match(rf"<14>[A-Z][a-z]{{2}} [ \d]\d [\d:]{{8}} shop\[{os.getpid()}\]: ", line)
        assert line.endswith(r"GET /a\x0ab HTTP/1.1 200 2 1.00ms")
    assert caplog.text.count("works again; 1 line was dropped") == 2
    log.close()


def received(daemon: socket.socket) -> int:
    count = 0
    with suppress(BlockingIOError):
        while daemon.recv(9000):
            count += 1
    return count


def test_a_syslog_nobody_reads_holds_up_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(str(tmp_path / "log"))
        log = AccessLog(SyslogSink(SyslogAddress(path=str(tmp_path / "log"))))
        for _ in range(3):
            for _ in range(3000):
                record(log, b"/" + b"x" * 100)
            log.flush()
        assert "drops lines until it works again: nobody reads" in caplog.text
        daemon.setblocking(False)
        seen = 0
        while log.pending:
            seen += received(daemon)
            log.flush()
        seen += received(daemon)
        log.close()
    dropped = int(re.search(r"works again; (\d+) lines were dropped", caplog.text)[1])  # type: ignore[index]
    assert seen + dropped == 9000
