"""Fields and cookies: what is sent is checked, what comes back is distrusted.

What lives here: the mapping that header fields and forms are, the checks of names and values (RFC
9110, 5.1 and 5.5), the value of one Set-Cookie field, the cookies of a request (RFC 6265bis), and
signed values. What must not: where a response keeps its fields (response.py). The patterns are
those of http/grammar.py for text; importing that package would bring 20 ms of modules that a small
program does not need.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from time import time
from typing import Any

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch
# RFC 6265, 4.1.1: cookie-octet. No control characters, space, quote, comma, semicolon, backslash.
_COOKIE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*").fullmatch
_ATTRIBUTE = re.compile(r"[\x20-\x3a\x3c-\x7e]*").fullmatch
_SITES = {None: None, "lax": "Lax", "strict": "Strict", "none": "None"}


@lru_cache(1024)
def checked(name: str, value: str = "") -> str:
    """Return the name of a field in lower case.

    Raises:
        ValueError: it is no token; the value has a control character, or one outside of Latin-1.
    """
    if not _TOKEN(name):
        raise ValueError(
            f"the name of a header or a cookie must be a token (RFC 9110, 5.6.2), not {name!r}"
        )
    if not _VALUE(value):
        what = "must be Latin-1 without control characters (RFC 9110, 5.5)"
        raise ValueError(f"the value of the header {name!r} {what}, not {value!r}")
    return name.lower()


class Fields(Mapping[str, Any]):
    """Values by name, of which some may be there several times; a name gives the first."""

    def __init__(self, pairs: Iterable[tuple[str, Any]] = ()) -> None:
        """Take names and values, in the order in which they came."""
        self._found: dict[str, list[Any]] = {}
        for name, value in pairs:
            self.add(name, value)

    def add(self, name: str, value: Any) -> None:
        """Add a value beside those with the same name."""
        self._found.setdefault(name, []).append(value)

    def all(self, name: str) -> list[Any]:
        """Return each value of a name, in order; an empty list without one."""
        return [*self._found.get(name, ())]

    def __getitem__(self, name: str) -> Any:
        return self._found[name][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


class Headers(Fields):
    """The fields of a request: names in any case, no field is lost.

    `headers["accept"]` joins repeated fields with ", " (RFC 9110, 5.3), those of Cookie with "; ".
    """

    def all(self, name: str) -> list[str]:
        """Return the value of each field with this name, in order."""
        return super().all(name.lower())

    def __getitem__(self, name: str) -> str:
        name = name.lower()
        return ("; " if name == "cookie" else ", ").join(self._found[name])


def format_cookie(
    name: str,
    value: str,
    *,
    max_age: int | None = None,
    path: str = "/",
    domain: str | None = None,
    secure: bool = False,
    http_only: bool = True,
    same_site: str | None = "lax",
) -> str:
    """Return the value of a Set-Cookie field.

    Args:
        name: a token; one that begins with `__Host-` or `__Secure-` obeys the rules of the prefix.
        value: visible ASCII without quotes, commas, semicolons and backslashes.
        max_age: seconds; None is until the browser ends, 0 deletes the cookie.
        path: below which path it is sent.
        domain: the domain with its subdomains; None is this host alone.
        secure: only over https.
        http_only: hidden from scripts.
        same_site: "lax", "strict", "none" (which needs `secure`), or None to say nothing.

    Raises:
        ValueError: a part would not come back as it is, or a browser would refuse the cookie.
    """
    checked(name)
    if not _COOKIE(value):
        raise ValueError(
            f"the value of the cookie {name!r} may hold no space, quote, comma, semicolon, "
            f"backslash or control character: encode {value!r}, by urllib.parse.quote for example"
        )
    if same_site not in _SITES:
        raise ValueError(f"same_site is 'lax', 'strict', 'none' or None, not {same_site!r}")
    # What browsers drop in silence (RFC 6265bis, 4.1.3).
    if not secure and (same_site == "none" or name.lower().startswith(("__secure-", "__host-"))):
        what = "needs secure=True: its prefix says so, or same_site='none'"
        raise ValueError(f"the cookie {name!r} {what}")
    if name.lower().startswith("__host-") and (path, domain) != ("/", None):
        raise ValueError(f"the cookie {name!r} needs path='/' and no domain, its prefix says so")
    flags = {"Secure": "" if secure else None, "HttpOnly": "" if http_only else None}
    said = {"Path": path, "Domain": domain, "Max-Age": max_age, **flags}
    parts = [f"{name}={value}"]
    for label, text in {**said, "SameSite": _SITES[same_site]}.items():
        if text is not None:
            if not _ATTRIBUTE(str(text)):
                raise ValueError(f"the {label} of the cookie {name!r} may not be {text!r}")
            parts.append(label if text == "" else f"{label}={text}")
    return "; ".join(parts)


def parse_cookies(header: str) -> dict[str, str]:
    """Return the cookies of a Cookie field; of two with one name the first, which is nearer."""
    found: dict[str, str] = {}
    for pair in header.split(";"):
        name, equals, value = (part.strip(" \t") for part in pair.partition("="))
        if equals and name:
            quoted = len(value) > 1 and value[0] == value[-1] == '"'
            found.setdefault(name, value[1:-1] if quoted else value)
    return found


class Signer:
    """Values that only the holder of a secret can have made: text, time and HMAC-SHA256.

    A signed value can be read by anybody; it cannot be changed, kept longer than `max_age`, or used
    under another name.
    """

    def __init__(self, secrets: str | bytes | Sequence[str | bytes]) -> None:
        """Take one secret, or several: the first signs, all are accepted, so that they can change.

        Raises:
            ValueError: there is none, or one is shorter than 16 bytes.
        """
        given = [secrets] if isinstance(secrets, (str, bytes)) else secrets
        self._keys = [key.encode() if isinstance(key, str) else key for key in given]
        if not self._keys or min(map(len, self._keys)) < 16:
            raise ValueError(
                "a secret has 16 bytes or more; this makes one: "
                "python -c 'import secrets; print(secrets.token_urlsafe())'"
            )

    def sign(self, name: str, text: str) -> str:
        """Return `text` for the cookie `name`, with the time and a signature, fit for a cookie."""
        from base64 import urlsafe_b64encode

        packed = urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
        payload = f"{packed}.{int(time())}"
        return f"{payload}.{self._digests(name, payload)[0]}"

    def read(self, name: str, signed: str, *, max_age: float | None = None) -> str | None:
        """Return the text of a signed value; None if it is forged, another's, or too old.

        `max_age`: seconds since it was signed.
        """
        from base64 import urlsafe_b64decode
        from hmac import compare_digest

        payload, _, digest = signed.rpartition(".")
        packed, _, stamp = payload.rpartition(".")
        given = digest.encode("utf-8", "replace")
        wanted = self._digests(name, payload)
        if True not in [compare_digest(given, each.encode()) for each in wanted]:  # each one is
            return None
        if max_age is not None and not -60 <= time() - int(stamp) <= max_age:
            return None
        return urlsafe_b64decode(packed + "=" * (-len(packed) % 4)).decode()

    def _digests(self, name: str, payload: str) -> list[str]:
        from hmac import digest

        message = f"{name}\0{payload}".encode("utf-8", "replace")
        return [digest(key, message, "sha256").hex() for key in self._keys]
