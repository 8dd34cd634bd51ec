"""The grammar of HTTP/1.1 as compiled patterns over bytes, each with its clause.

What lives here: the patterns of lines and chunks, and nothing that decides. What must not: what
other versions of HTTP share (http/grammar.py, whose warnings about text hold here, too).

Every pattern is linear: no nested repetition, and of two repetitions in a row that share characters
the first is possessive. So no input makes matching slow.
"""

from __future__ import annotations

import re

from bare_serve.http.grammar import TCHAR

TOKEN_START = re.compile(rb"[" + TCHAR + rb"]")

# RFC 9112, 3: method SP request-target SP HTTP-version. The target is any visible ASCII but "#"
# (a fragment is never sent, RFC 9112, 3.2); which of the four forms it is, http/head.py decides.
REQUEST_LINE = re.compile(rb"([" + TCHAR + rb"]+) ([\x21\x22\x24-\x7e]+) HTTP/([0-9])\.([0-9])")

# As much of one as tells what was asked for.
LINE_BEGUN = re.compile(rb"([" + TCHAR + rb"]+) ([\x21\x22\x24-\x7e]+)")

# A whole head whose request line is of the usual form, taken apart: method, target, the path and
# the query of that, and all that stands behind the line. It takes less than REQUEST_LINE, never
# more.
USUAL_HEAD = re.compile(
    rb"([A-Z]+) ((/[\x21\x22\x24-\x3e\x40-\x7e]*+)(?:\?([\x21\x22\x24-\x7e]*+))?) HTTP/1\.1"
    rb"(\r\n.*)",
    re.DOTALL,
)

# RFC 9112, 5: field-name ":" OWS field-value OWS. RFC 9110, 5.5: field values hold visible
# characters, SP, HTAB and obs-text; every other control character is refused, not repaired.
# The value's own trailing white space is cut afterwards, which keeps the pattern linear.
FIELD_LINE = re.compile(rb"([" + TCHAR + rb"]+):[ \t]*+([\t\x20-\x7e\x80-\xff]*)")

# RFC 9112, 7.1: chunk-size. Sixteen hex digits are 64 bits.
_CHUNK_SIZE = rb"([0-9A-Fa-f]{1,16})"

# RFC 9112, 7.1.1: *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] ), a value being a
# token or a quoted-string (RFC 9110, 5.6.4), which no line end can be part of. The whole grammar
# holds, although extensions are ignored: another server may look for the end of an open quote in
# the lines that follow. Each element begins by a ";" that nothing before it can have taken, and of
# each part there is one way to match it, so a match that fails is undone once.
_QUOTED_STRING = (
    rb'"[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]*+'
    rb'(?:\\[\t\x20-\x7e\x80-\xff][\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]*+)*"'
)
_CHUNK_EXTENSION = (
    rb"[ \t]*+;[ \t]*+[" + TCHAR + rb"]++"
    rb"(?:[ \t]*+=[ \t]*+(?:[" + TCHAR + rb"]++|" + _QUOTED_STRING + rb"))?"
)
CHUNK_LINE = re.compile(_CHUNK_SIZE + rb"(?:" + _CHUNK_EXTENSION + rb")*")

# What stands between the data of two chunks where the second has no extension.
BETWEEN_CHUNKS = re.compile(rb"\r\n" + _CHUNK_SIZE + rb"\r\n")

# RFC 9112, 4: reason-phrase. An application may write it, so it is checked like any value.
REASON = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
