"""Cookies: what is sent is checked, what comes back is distrusted (RFC 6265bis).

What lives here: the value of one Set-Cookie field, the cookies of a request, and signed values.
What must not: where a response keeps its fields (response.py).
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from bare_serve.bare.fields import check_name

# RFC 6265, 4.1.1: cookie-octet. No control characters, space, quote, comma, semicolon, backslash.
_VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*").fullmatch
_ATTRIBUTE = re.compile(r"[\x20-\x3a\x3c-\x7e]*").fullmatch
_SAME_SITE = {"lax": "Lax", "strict": "Strict", "none": "None"}


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
    check_name(name, "the name of a cookie")
    if not isinstance(value, str) or not _VALUE(value):
        raise ValueError(
            f"the value of the cookie {name!r} may hold no space, quote, comma, semicolon, "
            f"backslash or control character: encode {value!r}, by urllib.parse.quote for example"
        )
    parts = [f"{name}={value}"]
    for label, text in (("Path", path), ("Domain", domain)):
        if text is not None:
            if not _ATTRIBUTE(text):
                raise ValueError(f"the {label} of the cookie {name!r} may not be {text!r}")
            parts.append(f"{label}={text}")
    if max_age is not None:
        parts.append(f"Max-Age={int(max_age)}")
    if secure:
        parts.append("Secure")
    if http_only:
        parts.append("HttpOnly")
    if same_site is not None:
        if (site := _SAME_SITE.get(same_site.lower())) is None:
            raise ValueError(f"same_site is 'lax', 'strict' or 'none', not {same_site!r}")
        if site == "None" and not secure:
            raise ValueError(f"the cookie {name!r}: same_site='none' needs secure=True")
        parts.append(f"SameSite={site}")
    _check_prefix(name, secure=secure, path=path, domain=domain)
    return "; ".join(parts)


def _check_prefix(name: str, *, secure: bool, path: str, domain: str | None) -> None:
    """Refuse what browsers drop in silence (RFC 6265bis, 4.1.3)."""
    prefix = name.lower()
    if prefix.startswith(("__secure-", "__host-")) and not secure:
        raise ValueError(f"the cookie {name!r} needs secure=True, its prefix says so")
    if prefix.startswith("__host-") and (path != "/" or domain is not None):
        raise ValueError(f"the cookie {name!r} needs path='/' and no domain, its prefix says so")


def parse_cookies(header: str) -> dict[str, str]:
    """Return the cookies of a Cookie field; of two with one name the first, which is nearer."""
    found: dict[str, str] = {}
    for pair in header.split(";"):
        name, equals, value = pair.partition("=")
        name, value = name.strip(" \t"), value.strip(" \t")
        if equals and name:
            if len(value) > 1 and value[0] == value[-1] == '"':
                value = value[1:-1]
            found.setdefault(name, value)
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

    def sign(self, name: str, text: str, *, now: float | None = None) -> str:
        """Return `text` for the cookie `name`, with the time and a signature, fit for a cookie."""
        from base64 import urlsafe_b64encode

        stamp = int(time.time() if now is None else now)
        packed = urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
        payload = f"{packed}.{stamp}"
        return f"{payload}.{self._digest(self._keys[0], name, payload)}"

    def read(
        self, name: str, signed: str, *, max_age: float | None = None, now: float | None = None
    ) -> str | None:
        """Return the text of a signed value; None if it is forged, another's, or too old.

        `max_age`: seconds since it was signed.
        """
        from base64 import urlsafe_b64decode
        from hmac import compare_digest

        payload, _, digest = signed.rpartition(".")
        packed, _, stamp = payload.rpartition(".")
        given = digest.encode("utf-8", "replace")
        wanted = [self._digest(key, name, payload).encode() for key in self._keys]
        if True not in [compare_digest(given, each) for each in wanted]:  # each one is compared
            return None
        age = (time.time() if now is None else now) - int(stamp)
        if max_age is not None and not -60 <= age <= max_age:
            return None
        return urlsafe_b64decode(packed + "=" * (-len(packed) % 4)).decode()

    @staticmethod
    def _digest(key: bytes, name: str, payload: str) -> str:
        from hmac import digest

        return digest(key, f"{name}\0{payload}".encode("utf-8", "replace"), "sha256").hex()
