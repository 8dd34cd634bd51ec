"""TLS over the life of a server: new certificates, other listeners, another user."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support import Authority, RawClient, Server, eventually, serve
from tests.support.processes import BANNER_URL

Pair = tuple[Path, Path]
APPS = ("--app-dir", str(Path(__file__).parent))
KINDS = pytest.mark.parametrize("target", ["apps:wsgi", "apps:asgi"])


def files(pair: Pair) -> tuple[str, ...]:
    return ("--ssl-certfile", str(pair[0]), "--ssl-keyfile", str(pair[1]))


def renew(pair: Pair, directory: Path) -> Authority:
    """Another certificate in the place of this one; who signed it."""
    authority = Authority(directory, "newca")
    chain, key = authority.issue("new")
    chain.replace(pair[0])
    key.replace(pair[1])
    return authority


def shown(address: tuple[str, int] | str) -> str:
    """The certificate that a new connection is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with RawClient(address).speak_tls(context) as client:
        assert isinstance(client.socket, ssl.SSLSocket)
        der = client.socket.getpeercert(True)
        assert der is not None
        assert client.request().body == b"hello"
    return ssl.DER_cert_to_PEM_cert(der)


@KINDS
def test_a_new_certificate_is_taken_without_dropping_a_connection(
    target: str, pair: Pair, trusting: ssl.SSLContext, tmp_path: Path
) -> None:
    with serve(target, *APPS, *files(pair), "--workers", "2") as server:
        server.wait_for_output("All 2 workers are ready")
        workers = server.workers
        with RawClient(server.address).speak_tls(trusting) as old:
            assert old.request().body == b"hello"
            renew(pair, tmp_path)
            expected = pair[0].read_text()
            for _ in range(4):
                eventually(lambda: shown(server.address) == expected)
            assert old.request().body == b"hello"
        assert server.workers == workers
        pair[0].write_text("nonsense")
        server.wait_for_output("The certificate there was stays.")
        assert shown(server.address) == expected
        assert server.stderr.count("The certificate is new: ") == 1


@KINDS
def test_hup_reads_it_again(
    target: str, pair: Pair, trusting: ssl.SSLContext, tmp_path: Path
) -> None:
    with serve(target, *APPS, *files(pair)) as server:
        with RawClient(server.address).speak_tls(trusting) as busy:
            busy.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
            renew(pair, tmp_path)
            server.send_signal(signal.SIGHUP)
            assert busy.response().body == b"slow"
        server.wait_for_output("Reloaded: all workers are new.")
        expected = pair[0].read_text()
        eventually(lambda: shown(server.address) == expected)
        pair[1].write_text("nonsense")
        server.send_signal(signal.SIGHUP)
        server.wait_for_output("The certificate there was stays.")
        eventually(lambda: server.stderr.count("Reloaded: all workers are new.") == 2)
        eventually(lambda: len(server.workers) == 1, "the old worker has left")
        assert shown(server.address) == expected
        assert server.stop() == 0


def test_hup_takes_other_files_or_refuses_them(
    pair: Pair, pki: SimpleNamespace, tmp_path: Path
) -> None:
    config = tmp_path / "bare-serve.toml"

    def write(chain: Path, key: Path) -> None:
        config.write_text(f'ssl-certfile = "{chain}"\nssl-keyfile = "{key}"\n')

    write(*pair)
    with serve("apps:wsgi", *APPS, "--config", str(config)) as server:
        other = Authority(tmp_path, "newca").issue("new")
        write(other[0], pair[1])
        server.send_signal(signal.SIGHUP)
        server.wait_for_output("Not reloaded: the workers there were go on.")
        assert "does not belong to the certificate" in server.stderr
        assert shown(server.address) == pair[0].read_text()
        write(*other)
        server.send_signal(signal.SIGHUP)
        server.wait_for_output("Reloaded: all workers are new.")
        assert f"These settings are new: ssl-certfile {other[0]} (was {pair[0]})" in server.stderr
        eventually(lambda: shown(server.address) == other[0].read_text())


def test_usr2_takes_the_listeners_over(pair: Pair, tmp_path: Path) -> None:
    with serve("apps:asgi", *APPS, *files(pair), "-b", "tls:127.0.0.1:0") as server:
        renew(pair, tmp_path)
        server.send_signal(signal.SIGUSR2)
        server.wait_for_output("Reloaded: all workers are new.", 30)
        eventually(lambda: shown(server.address) == pair[0].read_text())
        pair[1].write_text("nonsense")
        server.send_signal(signal.SIGUSR2)
        server.wait_for_output("Not replaced: the new server does not start.", 30)
        assert shown(server.address)


def port_of(server: Server, mark: str) -> int:
    line = next(line for line in server.stderr.splitlines() if mark in line)
    match = BANNER_URL.search(line)
    assert match is not None
    return int(match[3])


@KINDS
def test_listeners_of_all_kinds_together(
    target: str, pair: Pair, pki: SimpleNamespace, tmp_path: Path
) -> None:
    path = tmp_path / "sock"
    binds = ("tls:127.0.0.1:0", "127.0.0.1:0", "redirect:127.0.0.1:0", f"tls:unix:{path}")
    options = [word for bind in binds for word in ("--bind", bind)]
    with serve(target, *APPS, *files(pair), *options) as server:
        secure = port_of(server, "https://")
        assert server.port == secure
        assert shown(str(path)) == shown(server.address) == pair[0].read_text()
        plain = next(
            int(match[3])
            for match in BANNER_URL.finditer(server.stderr)
            if match[1] == "http" and int(match[3]) != port_of(server, "(redirects")
        )
        with RawClient(("127.0.0.1", plain)) as client:
            assert client.request().body == b"hello"
        for method, target_, host, where in (
            ("GET", "/a%20b?c=d&e", "example.org:80", f"https://example.org:{secure}/a%20b?c=d&e"),
            ("HEAD", "/", "[::1]", f"https://[::1]:{secure}/"),
            ("POST", "http://example.org/x", "example.org", f"https://example.org:{secure}/x"),
        ):
            with RawClient(("127.0.0.1", port_of(server, "(redirects"))) as client:
                head = f"{method} {target_} HTTP/1.1\r\nHost: {host}\r\n"
                client.send(f"{head}Content-Length: 0\r\n\r\n".encode())
                answer = client.response(method)
                assert (answer.status, answer.header("location")) == (308, where)
                assert client.is_closed()
            server.wait_for_output(f" {method} {target_} HTTP/1.1 308 ")
        assert server.stop() == 0


@KINDS
@pytest.mark.parametrize("hurry", [False, True])
def test_a_stop_does_not_wait_for_handshakes(
    target: str, hurry: bool, pair: Pair, trusting: ssl.SSLContext
) -> None:
    with serve(target, *APPS, *files(pair)) as server:
        half = socket.create_connection(server.address, 10)
        half.sendall(b"\x16\x03\x01\x02\x00")
        with RawClient(server.address).speak_tls(trusting) as busy:
            busy.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
            if hurry:
                assert server.stop(signal.SIGQUIT, timeout=10) == 0
            else:
                server.send_signal(signal.SIGTERM)
                assert busy.response().body == b"slow"
                assert server.wait(timeout=10) == 0
        half.close()


def test_workers_0_watches_by_itself(pair: Pair, tmp_path: Path) -> None:
    with serve("apps:wsgi", *APPS, *files(pair), "--workers", "0") as server:
        assert shown(server.address) == pair[0].read_text()
        renew(pair, tmp_path)
        eventually(lambda: shown(server.address) == pair[0].read_text())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("preload", [(), ("--preload",)])
def test_the_key_may_be_for_root_alone(preload: tuple[str, ...], pki: SimpleNamespace) -> None:
    nobody = pwd.getpwnam("nobody")
    command = [sys.executable, "-c", "import asyncio, click"]
    try:
        subprocess.run(command, user=nobody.pw_uid, group=nobody.pw_gid, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the user nobody cannot read this Python")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "app.py").write_text((Path(__file__).parent / "apps.py").read_text())
        pair = directory / "c.pem", directory / "k.pem"
        pair[0].write_bytes(pki.chain.read_bytes())
        pair[1].write_bytes(pki.key.read_bytes())
        pair[1].chmod(0o600)
        options = ("--user", "nobody", "--workers", "2", *preload)
        with serve("app:asgi", *files(pair), *options, cwd=directory) as server:
            server.wait_for_output("All 2 workers are ready")
            assert shown(server.address) == pair[0].read_text()
            if preload:
                return  # the master is nobody as well from here on
            renew(pair, directory)
            pair[1].chmod(0o600)
            for _ in range(4):
                eventually(lambda: shown(server.address) == pair[0].read_text())
            server.send_signal(signal.SIGHUP)
            server.wait_for_output("Reloaded: all workers are new.")
            eventually(lambda: shown(server.address) == pair[0].read_text())


def test_without_tls_nobody_imports_ssl() -> None:
    with serve("--demo", "--wsgi") as server:
        for pid in (server.pid, *server.workers):
            assert "libssl" not in Path(f"/proc/{pid}/maps").read_text()
