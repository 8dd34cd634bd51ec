"""Shared helpers of the tests: start a server, talk to it byte by byte, wait for a fact.

with serve("app:app", "--workers", "2", cwd=tmp_path, source=SOURCE) as server:
    with RawClient(server.address) as client:
        client.send(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
        assert client.response().status == 200
    assert server.stop() == 0
"""

from tests.support.certificates import Authority
from tests.support.processes import (
    ROOT,
    Server,
    children_of,
    clean_environment,
    halt,
    is_alive,
    run_cli,
    serve,
)
from tests.support.raw_client import RawClient, Response
from tests.support.waiting import eventually

__all__ = [
    "ROOT",
    "Authority",
    "RawClient",
    "Response",
    "Server",
    "children_of",
    "clean_environment",
    "eventually",
    "halt",
    "is_alive",
    "run_cli",
    "serve",
]
