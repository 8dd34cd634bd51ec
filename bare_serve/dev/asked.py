"""What a request asks for, and who asks: read from an environ or a scope alike.

What lives here: whether a client may see an error page, which form of an answer it wants, and
whether a page may be live. What must not: answers.

An error page shows source code, so that it is for the developer's own machine alone. Three facts
must come together: the connection comes from loopback, no proxy or tunnel says that it has passed
the request on, and the name in Host is one of this machine's. A tunnel that says nothing of itself
has the name of its own in Host, and so has a page of others whose name was made to lead here (DNS
rebinding).
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final, Literal, NamedTuple

Form = Literal["html", "json", "text"]

_PASSED_ON: Final = frozenset(
    (
        *("forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip"),
        *("true-client-ip", "fastly-client-ip", "x-original-host", "x-original-forwarded-for"),
    )
)
_PASSED_ON_BEGIN: Final = ("x-forwarded-", "cf-", "x-envoy-", "fly-", "tailscale-")
_NAMES: Final = ("localhost", "0.0.0.0")
"""Of these the second is what browsers send for http://0.0.0.0/."""
_NAMES_BELOW: Final = (".localhost", ".test")
"""Names that no registry hands out (RFC 6761), so that they are this machine's."""
_DOCUMENTS: Final = ("document", "iframe", "frame", "")


class Asked(NamedTuple):
    """A request, as far as the development loop looks at it."""

    method: str
    path: str
    """Without the root path."""
    root: str
    """The root path, without a slash at its end."""
    client: str
    """The address of the client; empty if it has none, as on a unix socket."""
    fields: Mapping[str, str]
    """By names in lower case."""

    @classmethod
    def of_environ(cls, environ: Mapping[str, Any]) -> Asked:
        """Read an environ (PEP 3333)."""
        fields = {
            name[5:].replace("_", "-").lower(): value
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        root = environ.get("SCRIPT_NAME", "").rstrip("/")
        path, client = environ.get("PATH_INFO", ""), environ.get("REMOTE_ADDR", "")
        return cls(environ["REQUEST_METHOD"], path, root, client, fields)

    @classmethod
    def of_scope(cls, scope: Mapping[str, Any]) -> Asked:
        """Read an HTTP scope of ASGI."""
        fields: dict[str, str] = {}
        for name, value in scope["headers"]:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            fields[key] = f"{fields[key]}, {text}" if key in fields else text
        root = scope.get("root_path", "").rstrip("/")
        path = scope["path"]
        if root and path.startswith(f"{root}/"):
            path = path[len(root) :]
        client = (scope.get("client") or ("",))[0]
        return cls(scope["method"], path, root, client, fields)

    @property
    def is_local(self) -> bool:
        """Whether the client is a person at this machine, who may see the source code."""
        if any(name in _PASSED_ON or name.startswith(_PASSED_ON_BEGIN) for name in self.fields):
            return False
        return _is_loopback(self.client) and _is_own_name(self.fields.get("host", ""))

    @property
    def form(self) -> Form:
        """Which form of an error the client wants: HTML only where it names that.

        What is preferred by quality and then by order wins (RFC 9110, 12.5.1).
        """
        best, found = 0.0, "text"
        for entry in self.fields.get("accept", "").lower().split(","):
            kind, *parameters = (part.strip() for part in entry.split(";"))
            form = _FORMS.get(kind) or ("json" if kind.endswith("+json") else "")
            quality = _quality(parameters)
            if form and quality > best:
                best, found = quality, form
        return _AS_FORM[found]

    @property
    def is_navigation(self) -> bool:
        """Whether the answer may become a page of its own: the client wants HTML, and no script
        of a page has asked for a part of one."""
        fields = self.fields
        return (
            self.form == "html"
            and fields.get("sec-fetch-dest", "") in _DOCUMENTS
            and "hx-request" not in fields
            and fields.get("x-requested-with", "").lower() != "xmlhttprequest"
        )

    @property
    def may_be_live(self) -> bool:
        """Whether a page that answers this may be one that refreshes itself."""
        return self.method == "GET" and "range" not in self.fields and self.is_navigation


_FORMS: Final = {
    "text/html": "html",
    "application/xhtml+xml": "html",
    "application/json": "json",
    "text/plain": "text",
}
_AS_FORM: Final[dict[str, Form]] = {"html": "html", "json": "json", "text": "text"}


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def _is_loopback(address: str) -> bool:
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    return bool((mapped or ip).is_loopback)


def _is_own_name(host: str) -> bool:
    """Return whether a Host is one of this machine's; absent, as in HTTP/1.0, it is."""
    if host.startswith("["):
        name = host[1:].partition("]")[0]
    else:
        name = host.rpartition(":")[0] if ":" in host else host
    name = name.lower().rstrip(".")
    if not host or name in _NAMES or name.endswith(_NAMES_BELOW):
        return True
    return name == "::" or _is_loopback(name)
