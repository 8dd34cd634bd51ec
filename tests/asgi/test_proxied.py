"""What a proxy tells of its client leaves out what only the proxy itself has shown."""

from __future__ import annotations

from bare_serve.asgi.proxied import apply_forwarded
from bare_serve.asgi.scope import connection_scope
from bare_serve.net.forwarded import parse_trust
from tests.wsgi.fakes import connection_for, request


def test_the_certificate_of_the_proxy_is_not_its_clients() -> None:
    trust = parse_trust(["192.0.2.9"])
    assert trust is not None
    tls = {"client_cert_name": "CN=p"}
    template = connection_scope("", ("192.0.2.1", 443), ("192.0.2.9", 4711), tls)
    head = connection_for(request("GET", "/", "X-Forwarded-Proto: https"))[1]
    scope, _ = apply_forwarded(template, head, trust)
    assert scope["scheme"] == "https"
    assert "tls" not in scope["extensions"]
    assert "http.response.pathsend" in scope["extensions"]
    assert template["extensions"]["tls"] == tls, "the next request may tell nothing"
    head = connection_for(request("GET", "/"))[1]
    assert apply_forwarded(template, head, trust)[0]["extensions"]["tls"] == tls, (
        "it speaks for itself"
    )
