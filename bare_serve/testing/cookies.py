"""The cookies of a test client (RFC 6265).

What lives here: what a Set-Cookie field says, which cookies are kept, and to which request they are
sent. What must not: lists of public suffixes, limits, and what only a browser needs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass

ANYWHERE = ""
"""The domain of a cookie that the test has set: sent to each host."""


@dataclass(slots=True)
class Cookie:
    """One cookie; `expires` in seconds since the epoch, None until the client ends."""

    name: str
    value: str
    domain: str = ANYWHERE
    host_only: bool = False
    path: str = "/"
    expires: float | None = None
    secure: bool = False
    http_only: bool = False
    same_site: str = ""

    def is_sent_to(self, scheme: str, host: str, path: str) -> bool:
        """Return whether a request takes it along (RFC 6265, 5.4)."""
        if self.secure and scheme not in ("https", "wss"):
            return False
        if self.domain and not (host == self.domain if self.host_only else _matches(host, self)):
            return False
        return _is_below(path, self.path)


class CookieJar(MutableMapping[str, str]):
    """Values by name, for the test; `cookies` has all that is known of each.

    Where several cookies have one name, the one that was kept last is meant.
    """

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        """`values`: cookies that are sent to each host and path."""
        self._kept: dict[tuple[str, str, str], Cookie] = {}
        for name, value in (values or {}).items():
            self.set(name, value)

    @property
    def cookies(self) -> list[Cookie]:
        """All that are kept and have not expired."""
        self._expire()
        return list(self._kept.values())

    def set(
        self,
        name: str,
        value: str,
        *,
        domain: str = ANYWHERE,
        path: str = "/",
        secure: bool = False,
    ) -> None:
        """Keep a cookie as if the application had set it."""
        self.keep(Cookie(name, value, domain.lstrip(".").lower(), path=path, secure=secure))

    def keep(self, cookie: Cookie) -> None:
        """Keep a cookie in the place of one with its name, domain and path; or forget that one."""
        key = (cookie.domain, cookie.path, cookie.name)
        self._kept.pop(key, None)
        if cookie.expires is None or cookie.expires > time.time():
            self._kept[key] = cookie

    def take(self, fields: list[str], host: str, path: str) -> None:
        """Keep what an answer of `host` to a request for `path` sets; `fields`: the Set-Cookie.

        A cookie for a domain that is not the host's is dropped (RFC 6265, 5.3).
        """
        for field in fields:
            cookie = parse(field, host, path)
            if cookie is not None and (cookie.host_only or _matches(host, cookie)):
                self.keep(cookie)

    def header(self, scheme: str, host: str, path: str) -> str:
        """Return the Cookie field of a request; an empty text where there is no cookie for it."""
        if not self._kept:
            return ""
        self._expire()
        sent = [each for each in self._kept.values() if each.is_sent_to(scheme, host, path)]
        sent.sort(key=lambda each: -len(each.path))
        return "; ".join(f"{each.name}={each.value}" for each in sent)

    def __getitem__(self, name: str) -> str:
        for cookie in reversed(self.cookies):
            if cookie.name == name:
                return cookie.value
        raise KeyError(name)

    def __setitem__(self, name: str, value: str) -> None:
        self.set(name, value)

    def __delitem__(self, name: str) -> None:
        keys = [key for key in self._kept if key[2] == name]
        if not keys:
            raise KeyError(name)
        for key in keys:
            del self._kept[key]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(cookie.name for cookie in self.cookies))

    def __len__(self) -> int:
        return len({cookie.name for cookie in self.cookies})

    def __repr__(self) -> str:
        return f"CookieJar({self.cookies!r})"

    def _expire(self) -> None:
        now = time.time()
        gone = [k for k, c in self._kept.items() if c.expires is not None and c.expires <= now]
        for key in gone:
            del self._kept[key]


def parse(field: str, host: str, path: str) -> Cookie | None:
    """Return the cookie that a Set-Cookie field of `host` sets, whether that host may or not
    (RFC 6265, 5.2 and 5.3); None if the field names no cookie."""
    pair, *attributes = field.split(";")
    name, equals, value = pair.partition("=")
    name = name.strip()
    if not equals or not name:
        return None
    cookie = Cookie(name, _unquoted(value.strip()), host, host_only=True, path=_default_path(path))
    max_age: float | None = None
    for attribute in attributes:
        key, _, text = attribute.partition("=")
        key, text = key.strip().lower(), text.strip()
        if key == "domain" and text:
            cookie.domain, cookie.host_only = text.lstrip(".").lower(), False
        elif key == "path":
            cookie.path = text if text.startswith("/") else _default_path(path)
        elif key == "max-age" and text.removeprefix("-").isdecimal():
            max_age = float(text)
        elif key == "expires":
            cookie.expires = _date(text)
        elif key == "secure":
            cookie.secure = True
        elif key == "httponly":
            cookie.http_only = True
        elif key == "samesite":
            cookie.same_site = text
    if max_age is not None:  # it has precedence (RFC 6265, 5.3)
        cookie.expires = time.time() + max_age if max_age > 0 else 0.0
    return cookie


def _unquoted(value: str) -> str:
    """Without the quotes that may stand around a value (RFC 6265, 4.1.1)."""
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value


def _matches(host: str, cookie: Cookie) -> bool:
    """RFC 6265, 5.1.3; an IP address has no subdomains."""
    if host == cookie.domain:
        return True
    return host.endswith("." + cookie.domain) and not host.replace(".", "").isdecimal()


def _default_path(path: str) -> str:
    """RFC 6265, 5.1.4."""
    return path.rpartition("/")[0] or "/" if path.startswith("/") else "/"


def _is_below(path: str, top: str) -> bool:
    """RFC 6265, 5.1.4: the same, or below it at a slash."""
    return path == top or path.startswith(top if top.endswith("/") else top + "/")


def _date(text: str) -> float | None:
    from email.utils import mktime_tz, parsedate_tz  # 10 ms that few tests need

    found = parsedate_tz(text)
    return None if found is None else float(mktime_tz(found))
