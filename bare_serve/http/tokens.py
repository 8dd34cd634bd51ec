"""Tokens: names of methods, fields, parameters and protocols (RFC 9110, 5.6.2).

What lives here: the characters of a token, for patterns to be made of. What must not: the patterns
of one protocol, such as http1/grammar.py.
"""

from __future__ import annotations

TCHAR = rb"!#$%&'*+\-.^_`|~0-9A-Za-z"
"""The inside of a character class that takes one tchar, and ASCII only."""
