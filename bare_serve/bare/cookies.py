"""Cookies: what is sent is checked, what comes back is distrusted (RFC 6265bis).

What lives here: the value of one Set-Cookie field, the cookies of a request, and signed values.
What must not: where a response keeps its fields (response.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from time import time

from bare_serve.bare.fields import checked

Secret = str | bytes

# RFC 6265, 4.1.1: cookie-octet. No control characters, space, quote, comma, semicolon, backslash.
_VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*").fullmatch
_ATTRIBUTE = re.compile(r"[\x20-\x3a\x3c-\x7e]*").fullmatch
_SITES = {None: None, "lax": "Lax", "strict": "Strict", "none": "None"}


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
    if not _VALUE(value):
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

    def __init__(self, secrets: Secret | Sequence[Secret]) -> None:
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
