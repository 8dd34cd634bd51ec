"""What a trusted proxy says, applied to a WSGI environ.

What lives here: the environ of a head, as it is for a request that a proxy passed on. What must
not: which peers are trusted and what the fields mean (net/forwarded.py).
"""

from __future__ import annotations

from bare_serve.http import RequestHead
from bare_serve.net.forwarded import Forwarded, Peer, Trust, read
from bare_serve.wsgi.environ import Environ, request_environ


def apply_forwarded(base: Environ, head: RequestHead, root_path: str, trust: Trust) -> Environ:
    """Return the environ for this head, with what its proxy said.

    Raises:
        RequestError: 400, the proxy's word cannot be understood.
    """
    address = base["REMOTE_ADDR"]
    peer: Peer = (address, int(base["REMOTE_PORT"])) if address else None
    said = read(head.headers, trust, peer)
    if said is None:
        return request_environ(base, head, root_path)
    prefix = root_path if said.prefix is None else said.prefix
    environ = request_environ(_applied(base, said), head, prefix)
    if said.authority:
        environ["HTTP_HOST"] = said.authority.decode("latin-1")
    return environ


def change_client(environ: Environ, client: Peer) -> None:
    """Put the address of the client into an environ; none if it is hidden."""
    address, port = client or ("", "")
    environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = address, str(port)


def _applied(base: Environ, said: Forwarded) -> Environ:
    environ = base.copy()
    if "HTTPS" in environ:
        # The session, and a certificate in it, are the proxy's and not its client's.
        for name in [name for name in environ if name.startswith("SSL_")]:
            del environ[name]
    change_client(environ, said.client)
    if said.scheme:
        environ["wsgi.url_scheme"] = said.scheme
        if said.scheme != "https":
            environ.pop("HTTPS", None)  # it was for the proxy's own connection
    if said.server is not None:
        environ["SERVER_NAME"], environ["SERVER_PORT"] = said.server[0], str(said.server[1])
    return environ
