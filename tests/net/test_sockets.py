"""What the system makes of addresses: sockets that listen, and refusals."""

from __future__ import annotations

import os
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bare_serve.errors import BareServeError, UsageError
from bare_serve.net import sockets
from bare_serve.net.bind_address import Address, parse_address, url_of
from bare_serve.net.sockets import bind, release


@pytest.fixture
def short(tmp_path: Path) -> Iterator[Path]:
    """A directory whose name leaves room for the 108 bytes of a unix socket's path."""
    with tempfile.TemporaryDirectory(prefix="bs-") as name:
        yield Path(name)


def test_tcp_socket_listens_without_blocking_or_leaking() -> None:
    with bind(Address("tcp", "127.0.0.1", 0)) as sock:
        host, port = sock.getsockname()
        assert url_of(sock) == f"http://{host}:{port}"
        assert port != 0
        assert not sock.getblocking()
        assert not sock.get_inheritable()
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        with socket.create_connection((host, port)):
            pass


def test_name_is_resolved_to_ipv4_first() -> None:
    with bind(Address("tcp", "localhost", 0)) as sock:
        assert url_of(sock).startswith("http://127.0.0.1:")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
def test_ipv6_wildcard_serves_both_families() -> None:
    with bind(Address("tcp", "::", 0)) as sock:
        port = sock.getsockname()[1]
        assert url_of(sock) == f"http://[::]:{port}"
        for host in ("::1", "127.0.0.1"):
            with socket.create_connection((host, port)):
                pass


def test_unknown_host() -> None:
    with pytest.raises(UsageError, match=r"no\.such\.invalid.*unknown"):
        bind(Address("tcp", "no.such.invalid", 8000))


def test_foreign_address() -> None:
    # 192.0.2.0/24 is for documentation (RFC 5737) and so on no machine.
    with pytest.raises(UsageError, match="no such address"):
        bind(Address("tcp", "192.0.2.1", 8000))


def test_port_without_the_right(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(BareServeError, match="below 1024"):
        bind(Address("tcp", "127.0.0.1", 80))


def test_unix_socket_is_made_and_removed(short: Path) -> None:
    address = Address("unix", path=str(short / "a.sock"))
    sock = bind(address)
    assert url_of(sock) == f"unix:{short}/a.sock"
    assert stat.S_ISSOCK((short / "a.sock").stat().st_mode)
    assert not sock.getblocking()
    release(address, sock)
    assert list(short.iterdir()) == []


def test_stale_unix_socket_is_replaced(short: Path) -> None:
    address = Address("unix", path=str(short / "a.sock"))
    bind(address).close()
    sock = bind(address)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(address.path)
    release(address, sock)


@pytest.mark.skipif(not Path("/proc/net/unix").exists(), reason="no /proc here")
def test_living_unix_socket_is_left_alone(hold, short: Path) -> None:
    path = str(short / "a.sock")
    pid, _ = hold("unix", path)
    with pytest.raises(BareServeError, match=f"in use by pid {pid} "):
        bind(Address("unix", path=path))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def test_release_leaves_a_successor_alone(hold, short: Path) -> None:
    address = Address("unix", path=str(short / "a.sock"))
    sock = bind(address)
    (short / "a.sock").unlink()
    hold("unix", address.path)
    release(address, sock)
    assert (short / "a.sock").exists()


def test_release_takes_the_file_though_workers_still_have_the_socket(short: Path) -> None:
    address = Address("unix", path=str(short / "a.sock"))
    sock = bind(address)
    with sock.dup() as workers, socket.socket(socket.AF_UNIX) as client:
        client.connect(address.path)
        release(address, sock)
        assert not (short / "a.sock").exists()
        workers.accept()[0].close()


def test_release_survives_a_missing_file(short: Path) -> None:
    address = Address("unix", path=str(short / "a.sock"))
    sock = bind(address)
    (short / "a.sock").unlink()
    release(address, sock)
    assert sock.fileno() == -1


def test_regular_file_is_never_replaced(short: Path) -> None:
    (short / "notes").write_text("precious")
    with pytest.raises(UsageError, match="not a socket"):
        bind(Address("unix", path=str(short / "notes")))
    assert (short / "notes").read_text() == "precious"


def test_unix_path_too_long(short: Path) -> None:
    with pytest.raises(UsageError, match="too long"):
        bind(Address("unix", path=str(short / ("x" * 200))))


def test_unix_directory_missing(short: Path) -> None:
    with pytest.raises(UsageError, match=f"no directory {short}/none"):
        bind(Address("unix", path=str(short / "none" / "a.sock")))


def test_inherited_listener_is_taken_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        given.set_inheritable(True)
        with bind(Address("fd", fd=os.dup(given.fileno()))) as sock:
            assert sock.getsockname() == given.getsockname()
            assert not sock.getblocking()
            assert not sock.get_inheritable()


def test_inherited_socket_that_does_not_listen_yet() -> None:
    with socket.socket() as given:
        given.bind(("127.0.0.1", 0))
        with (
            bind(Address("fd", fd=os.dup(given.fileno()))) as sock,
            socket.create_connection(sock.getsockname()),
        ):
            pass


def test_descriptor_that_is_not_open() -> None:
    read, write = os.pipe()
    os.close(read)
    os.close(write)
    with pytest.raises(UsageError, match="not open"):
        bind(Address("fd", fd=read))


def test_descriptor_that_is_no_socket() -> None:
    read, write = os.pipe()
    try:
        with pytest.raises(UsageError, match="not a socket"):
            bind(Address("fd", fd=read))
    finally:
        os.close(read)
        os.close(write)


@pytest.mark.parametrize(
    ("kind", "what"), [(socket.SOCK_DGRAM, "stream"), (socket.SOCK_STREAM, "bound")]
)
def test_descriptor_of_a_useless_socket(kind: socket.SocketKind, what: str) -> None:
    with socket.socket(socket.AF_INET, kind) as given:
        with pytest.raises(UsageError, match=what):
            bind(Address("fd", fd=given.fileno()))
        given.getsockname()  # still the giver's to close


def test_fd_socket_keeps_its_file_on_release(short: Path) -> None:
    path = str(short / "a.sock")
    with socket.socket(socket.AF_UNIX) as given:
        given.bind(path)
        address = Address("fd", fd=os.dup(given.fileno()))
        release(address, bind(address))
        assert Path(path).exists()


LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="abstract sockets")


@pytest.fixture
def name() -> str:
    """Of an abstract socket that nobody else has."""
    return f"@bare-serve-test-{os.getpid()}-{os.urandom(4).hex()}"


@LINUX
def test_abstract_socket_is_no_file(
    short: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(short)
    address = parse_address(f"unix:{name}")
    access = sockets.Access(owner=(os.getuid(), os.getgid()))
    with bind(address, access=access) as sock, socket.socket(socket.AF_UNIX) as client:
        client.connect(f"\0{name[1:]}")
        assert url_of(sock) == f"unix:{name}"
        assert url_of(sock, "tls") == f"unix:{name} (TLS)"
        assert list(short.iterdir()) == []
        with pytest.raises(BareServeError, match=f"unix:{name}: it is in use by this very command"):
            bind(address)
        release(address.anchored(), sock)
    bind(address).close()  # it is free again


@LINUX
def test_abstract_socket_has_no_permissions_and_not_any_length(name: str) -> None:
    with pytest.raises(UsageError, match="an abstract socket has no permissions"):
        bind(parse_address(f"unix:{name}"), access=sockets.Access(mode=0o660))
    with pytest.raises(UsageError, match="the path is too long for a unix socket"):
        bind(parse_address(f"unix:{name}{'x' * 108}"))


def test_unix_socket_is_removed_from_wherever_the_process_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("a" * 120)  # by its whole path no socket can be reached there
    deep.mkdir()
    monkeypatch.chdir(deep)
    relative = parse_address("unix:sock")
    address, sock = relative.anchored(), bind(relative)
    monkeypatch.chdir("/")
    assert (deep / "sock").is_socket()
    release(address, sock)
    assert list(deep.iterdir()) == []


@pytest.mark.parametrize("mode", [0o600, 0o666])
def test_mode_of_a_unix_socket(tmp_path: Path, mode: int) -> None:
    address = parse_address(f"unix:{tmp_path}/sock")
    sock = sockets.bind(address, access=sockets.Access(mode=mode))
    assert stat.S_IMODE((tmp_path / "sock").stat().st_mode) == mode
    sockets.release(address, sock)


def test_link_in_the_place_of_a_unix_socket_is_not_followed(tmp_path: Path) -> None:
    path, victim = tmp_path / "sock", tmp_path / "victim"
    victim.touch(mode=0o600)
    before = victim.stat()

    class Raced(socket.socket):
        """Somebody else is quicker."""

        def bind(self, address: object) -> None:
            super().bind(str(address))
            path.unlink()
            path.symlink_to(victim)

    owner = (65534, 65534) if os.geteuid() == 0 else (os.getuid(), os.getgid())
    with Raced(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        access = sockets.Access(mode=0o666, owner=owner)
        sockets._bind_file(sock, str(path), access, (None, str(path)))
    after = victim.stat()
    assert (after.st_mode, after.st_uid) == (before.st_mode, before.st_uid)


def test_port_can_be_shared_only_if_both_want_to() -> None:
    shared = sockets.Access(reuse_port=True)
    first = sockets.bind(parse_address("127.0.0.1:0"), access=shared)
    address = parse_address(f"127.0.0.1:{first.getsockname()[1]}")
    sockets.bind(address, access=shared).close()
    with pytest.raises(BareServeError, match="in use"):
        sockets.bind(address)
    first.close()


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, ()),
        ({"LISTEN_PID": "1", "LISTEN_FDS": "2"}, ()),
        ({"LISTEN_PID": str(os.getpid())}, ()),
        ({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "x"}, ()),
        ({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2"}, ("fd://3", "fd://4")),
    ],
)
def test_addresses_from_systemd(environ: dict[str, str], found: tuple[str, ...]) -> None:
    assert sockets.from_systemd(environ) == found
