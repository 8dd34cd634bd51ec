"""What a proxy tells of its client leaves out what only the proxy itself has shown."""

from __future__ import annotations

from bare_serve.forwarded import parse_trust
from bare_serve.wsgi.environ import connection_environ, server_environ
from bare_serve.wsgi.proxied import environ_as_told
from bare_serve.wsgi.response import FileWrapper
from tests.wsgi.fakes import connection_for, request


def test_the_certificate_of_the_proxy_is_not_its_clients() -> None:
    trust = parse_trust(["192.0.2.9"])
    assert trust is not None
    base = server_environ(multithread=True, multiprocess=False, file_wrapper=FileWrapper)
    base = connection_environ(base, ("192.0.2.1", 443), ("192.0.2.9", 4711))
    base["wsgi.url_scheme"] = "https"
    session = {"SSL_PROTOCOL": "TLSv1.3", "SSL_CLIENT_VERIFY": "SUCCESS", "SSL_CLIENT_S_DN": "CN=p"}
    base |= {"HTTPS": "on", **session}
    for fields, https in (
        (("X-Forwarded-Proto: https", "X-Forwarded-For: 203.0.113.5"), "on"),
        (("X-Forwarded-Proto: http",), None),
    ):
        head = connection_for(request("GET", "/", *fields))[1]
        environ = environ_as_told(base, head, "", trust)
        assert environ.get("HTTPS") == https
        assert not [name for name in environ if name.startswith("SSL_")]
    head = connection_for(request("GET", "/"))[1]
    told_nothing = environ_as_told(base, head, "", trust)
    assert session.items() <= told_nothing.items(), "the proxy speaks for itself"
