"""The grammar that every version of HTTP shares, as compiled patterns over bytes.

What lives here: the patterns of fields, hosts and targets, each with its clause. What must not:
anything that decides; the syntax of messages, which each version has its own (http1/grammar.py);
`int()`, `strip()` or `lower()` on decoded text, `\\d` or `\\s` in text patterns: they accept more
than ASCII (Arabic digits, NBSP, the Kelvin sign), and request smuggling lives on such generosity.

Every pattern is linear: no nested repetition, and of two repetitions in a row that share characters
the first is possessive. So no input makes matching slow.
"""

from __future__ import annotations

import re
from typing import Final

# RFC 9110, 5.6.2: tchar, for use between brackets.
TCHAR: Final = rb"!#$%&'*+\-.^_`|~0-9A-Za-z"

TOKEN: Final = re.compile(rb"[" + TCHAR + rb"]+")

# RFC 9110, 5.5: field values hold visible characters, SP, HTAB and obs-text; every other control
# character is refused, not repaired.
FIELD_VALUE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")

# RFC 9110, 8.6: 1*DIGIT. Nineteen digits hold every 64-bit length; more is nobody's body.
CONTENT_LENGTH: Final = re.compile(rb"[0-9]{1,19}")

# RFC 9110, 7.2 and RFC 3986, 3.2: uri-host [":" port]. IPv6 is only shape-checked: the address
# is nobody's to dial here. Userinfo is refused (RFC 9110, 4.2.4).
HOST: Final = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+\]|\[v[0-9A-Fa-f]+\.[0-9A-Za-z\-._~!$&'()*+,;=:]+\]"
    rb"|(?:[0-9A-Za-z\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2})*)"
    rb"(?::([0-9]{0,5}))?"
)

# RFC 9112, 3.2.2: absolute-form, of the two schemes an HTTP server can be asked for.
ABSOLUTE_FORM: Final = re.compile(rb"(?:[Hh][Tt][Tt][Pp][Ss]?)://([^/?]*)(/[^?]*)?(?:\?(.*))?")
