"""A real nginx and a real HAProxy in front of the server, with certificates made on the spot.

They listen on free ports of 127.0.0.1 and are ended with the block. A client that connects from
127.0.0.2 can be told from the proxy by its address.
"""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.waiting import eventually

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
HAPROXY = shutil.which("haproxy") or "/usr/sbin/haproxy"
STREAM_MODULE = next(
    (
        path
        for folder in (
            "/usr/lib/nginx/modules",
            "/usr/lib64/nginx/modules",
            "/usr/share/nginx/modules",
        )
        if (path := Path(folder, "ngx_stream_module.so")).exists()
    ),
    None,
)

needs_nginx = pytest.mark.skipif(not os.access(NGINX, os.X_OK), reason="nginx is not installed")
needs_stream = pytest.mark.skipif(STREAM_MODULE is None, reason="nginx has no stream module here")
needs_haproxy = pytest.mark.skipif(
    not os.access(HAPROXY, os.X_OK), reason="haproxy is not installed"
)

CLIENT = "127.0.0.2"

# What any configuration of nginx begins by; `http { ... }` and so on follow.
NGINX_HEAD = """
daemon off; master_process off; pid {dir}/pid; error_log {dir}/error.log;
events {{ worker_connections 64; }}
"""
NGINX_HTTP = """
http {{
  access_log off;
  client_body_temp_path {dir}/b; proxy_temp_path {dir}/p;
  fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
"""


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


def accepts(port: int) -> bool:
    """Whether somebody listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@contextmanager
def nginx(directory: Path, text: str, *ports: int) -> Iterator[None]:
    """A real nginx with this configuration, which listens on these ports."""
    config = directory / "nginx.conf"
    config.write_text(text)
    error_log = str(directory / "error.log")
    with _running([NGINX, "-p", str(directory), "-e", error_log, "-c", str(config)], ports):
        yield


@contextmanager
def haproxy(directory: Path, text: str, *ports: int) -> Iterator[None]:
    """A real HAProxy with this configuration, which listens on these ports."""
    config = directory / "haproxy.cfg"
    config.write_text(text)
    with _running([HAPROXY, "-db", "-f", str(config)], ports):
        yield


@contextmanager
def _running(command: Sequence[str], ports: Sequence[int]) -> Iterator[None]:
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
        try:
            eventually(
                lambda: process.poll() is not None or all(map(accepts, ports)),
                f"{command[0]} accepts",
            )
            if process.poll() is not None:
                said.seek(0)
                raise AssertionError(f"{command[0]} ended: {said.read().decode()}")
            yield
        finally:
            process.terminate()
            process.wait(10)


def certificate(directory: Path) -> Path:
    """A certificate for localhost and its key in one file, as HAProxy wants them; beside it, as
    nginx does, cert.pem and cert.key."""
    chain, key = Authority(directory).issue("cert")
    both = directory / "both.pem"
    both.write_bytes(chain.read_bytes() + key.read_bytes())
    return both


def trusting(both: Path) -> ssl.SSLContext:
    """For a client that believes whoever signed this certificate, and nobody else."""
    return ssl.create_default_context(cafile=str(both.with_name("ca.pem")))
