"""What both test clients are: an application, defaults of its requests, cookies, redirects.

What lives here: the options, and everything about a request that waits for nothing. What must not:
calling the application (client.py, async_client.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from bare_serve.app.detect import detect
from bare_serve.errors import nearest
from bare_serve.testing.cookies import CookieJar
from bare_serve.testing.forms import Values
from bare_serve.testing.request import (
    REDIRECTS,
    Content,
    Defaults,
    HeaderValues,
    Request,
    build,
    redirected,
)
from bare_serve.testing.response import Head, Response

MOST_REDIRECTS = 20
TIMEOUT = 5.0

Interface = Literal["auto", "wsgi", "asgi", "asgi2"]


class Unset:
    """Stands for an argument that was not given, where None means something."""


UNSET = Unset()


class ClientOptions(TypedDict, total=False):
    """What a client may be given, see `Session`."""

    interface: Interface
    lint: bool
    raise_app_exceptions: bool
    follow_redirects: bool
    timeout: float | None
    headers: HeaderValues | None
    cookies: Mapping[str, str] | None
    client: tuple[str, int]
    host: str
    scheme: str
    root_path: str
    state: Mapping[str, Any] | None


class Options(TypedDict, total=False):
    """What a request may be given; one body at most, `data` and `files` counting as one."""

    params: Values | None
    headers: HeaderValues | None
    cookies: Mapping[str, str] | None
    content: Content | None
    json: Any
    data: Values | None
    files: Values | None
    timeout: float | None


class Sent(Options, total=False):
    """What a request may be given whose answer is read whole."""

    follow_redirects: bool


class Handshake(TypedDict, total=False):
    """What a WebSocket may be given."""

    params: Values | None
    headers: HeaderValues | None
    cookies: Mapping[str, str] | None
    timeout: float | None


class Session:
    """A client that sends nothing yet."""

    def __init__(
        self,
        app: Any,
        *,
        interface: Interface = "auto",
        lint: bool = True,
        raise_app_exceptions: bool = True,
        follow_redirects: bool = False,
        timeout: float | None = TIMEOUT,
        headers: HeaderValues | None = None,
        cookies: Mapping[str, str] | None = None,
        client: tuple[str, int] = ("127.0.0.1", 50000),
        host: str = "testserver",
        scheme: str = "http",
        root_path: str = "",
        state: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep what each request needs.

        Args:
            app: a WSGI or ASGI application; which one is seen as the server sees it.
            interface: says which one, where that cannot be seen.
            lint: check the application against the clauses of its interface; a mistake is raised
                as a `SpecError`.
            raise_app_exceptions: an exception of the application reaches the test; if False, it is
                answered with 500, as the server does.
            follow_redirects: the default of each request; the answers on the way are in `history`.
            timeout: seconds for an answer, a piece of a stream, a message of a WebSocket, and each
                end of the lifespan; None for no limit.
            headers, cookies: sent with each request.
            client: address and port of the client that the application sees.
            host, scheme, root_path: where the application is to believe that it is served.
            state: put into the lifespan's state before the startup.

        Raises:
            AppLoadError: `app` is no application, or its interface cannot be seen.
            ValueError: an option has a value that it cannot have.
        """
        found = detect(app).interface if interface == "auto" else interface
        if found not in ("wsgi", "asgi", "asgi2"):
            raise ValueError(f"interface must be 'auto', 'wsgi', 'asgi' or 'asgi2', not {found!r}")
        if found == "asgi2":
            from bare_serve.asgi.adapters import asgi2_to_asgi3

            app, found = asgi2_to_asgi3(app), "asgi"
        self.interface = found
        """"wsgi" or "asgi"."""
        if lint:
            from bare_serve.testing.linting import lint as linted

            app = linted(app, interface=found)
        self.app = app
        self.cookies = CookieJar(cookies)
        """Those that are kept and sent; the test may set and delete some."""
        self.timeout = timeout
        self.state: dict[str, Any] = dict(state or {})
        """The state that each request gets a copy of; after the startup it is the lifespan's."""
        self._raises = raise_app_exceptions
        self._follows = follow_redirects
        self._defaults = Defaults(scheme, host, client, root_path, headers)

    def _build(self, method: str, url: str, options: Any) -> Request:
        """Make a request of what is left of `options`."""
        cookies = options.pop("cookies", None) if options else None
        try:
            request = build(self._defaults, method, url, **options)
        except TypeError as error:
            raise _unknown(options) or error from None
        self._add_cookies(request, cookies)
        return request

    def _add_cookies(self, request: Request, cookies: Mapping[str, str] | None) -> None:
        jar = self.cookies
        if cookies:
            jar = CookieJar(cookies)
            for cookie in self.cookies.cookies:
                if cookie.name not in cookies:
                    jar.keep(cookie)
        if header := jar.header(request.scheme, request.host_name, request.path):
            request.head.headers.append((b"cookie", header.encode("utf-8")))

    def _keep_cookies(self, request: Request, answer: Head) -> None:
        set_cookie = [
            value.decode("latin-1")
            for name, value in answer.fields
            if len(name) == 10 and name.lower() == b"set-cookie"
        ]
        if set_cookie:
            self.cookies.take(set_cookie, request.host_name, request.path)

    def _next(self, request: Request, response: Response, follow: bool | None) -> Request | None:
        """Return the request that `response` redirects to, if redirects are followed."""
        if not (self._follows if follow is None else follow) or response.status not in REDIRECTS:
            return None
        location = response.headers.get("location")
        if location is None:
            return None
        if len(response.history) >= MOST_REDIRECTS:
            raise ValueError(f"more than {MOST_REDIRECTS} redirects, the last one to {location!r}")
        following = redirected(request, response.status, location)
        self._add_cookies(following, None)
        return following

    def _no_websockets(self) -> TypeError:
        return TypeError("a WSGI application knows no WebSockets (PEP 3333)")


def _unknown(options: dict[str, Any]) -> TypeError | None:
    unknown = sorted(options.keys() - Sent.__optional_keys__)
    if not unknown:
        return None
    return TypeError(f"a request has no argument {unknown[0]!r}{nearest(unknown[0], _ARGUMENTS)}")


_ARGUMENTS = sorted(Sent.__optional_keys__)
