"""Clauses of HTTP itself, which hold for WSGI and ASGI alike.

What lives here: rows. What must not: what only one interface asks for (wsgi.py, asgi.py).
"""

from __future__ import annotations

from typing import Final

from bare_serve.clauses.clause import ADVICE, ERROR, NOTE, Clause, Weight


def _row(
    name: str, place: str, weight: Weight, expected: str, fix: str, *, reported: bool = False
) -> Clause:
    spec, _, section = place.partition(", ")
    return Clause(name, spec, section, weight, expected, fix, reported)


ROWS: Final = (
    _row(
        "http-field-name",
        "RFC 9110, 5.1",
        ERROR,
        "The name of a header is a token: letters, digits, hyphens and a few other signs.",
        "Take out colons, spaces and other characters, and name no pseudo-header.",
        reported=True,
    ),
    _row(
        "http-field-value",
        "RFC 9110, 5.5",
        ERROR,
        "The value of a header holds no CR, LF, NUL or other control character.",
        "Remove or encode what came from outside before it becomes a header.",
        reported=True,
    ),
    _row(
        "http-field-underscore",
        "RFC 9110, 5.1",
        ADVICE,
        "A header name with an underscore is dropped by many proxies and servers.",
        "Write a hyphen in place of the underscore.",
    ),
    _row(
        "http-status-range",
        "RFC 9110, 15",
        ERROR,
        "A status is an integer of three digits.",
        "Give a status from 200 to 599.",
        reported=True,
    ),
    _row(
        "http-status-final",
        "RFC 9110, 15.2",
        ERROR,
        "An answer has a final status: 1xx are interim answers, which the server sends.",
        "Give a status from 200 to 599; for 103 use early hints.",
        reported=True,
    ),
    _row(
        "http-status-class",
        "RFC 9110, 15",
        ADVICE,
        "A status from 600 to 999 belongs to no class, and clients take it for a failure.",
        "Give a status from 200 to 599.",
    ),
    _row(
        "http-reason-phrase",
        "RFC 9112, 4",
        ERROR,
        "The reason phrase behind a status holds no control character.",
        "Give a plain phrase, such as '404 Not Found'.",
        reported=True,
    ),
    _row(
        "http-interim",
        "RFC 9110, 15.2",
        ERROR,
        "An interim answer has a status from 102 to 199 and comes before the final answer.",
        "Send early hints before the first piece of body.",
        reported=True,
    ),
    _row(
        "http-answer-once",
        "RFC 9110, 15",
        ERROR,
        "A request has one final answer: its head, then its body, then nothing more.",
        "Send nothing after the end of the answer.",
        reported=True,
    ),
    _row(
        "http-content-length",
        "RFC 9110, 8.6",
        ERROR,
        "Content-Length is the number of bytes of the body, in digits.",
        "Give the length of the encoded body, such as str(len(body)).",
        reported=True,
    ),
    _row(
        "http-content-length-differs",
        "RFC 9110, 8.6",
        ERROR,
        "An answer has one Content-Length.",
        "Replace the header where a layer changes the body; do not add a second one.",
        reported=True,
    ),
    _row(
        "http-content-length-repeated",
        "RFC 9110, 8.6",
        ADVICE,
        "An answer has one Content-Length; the second says the same and is dropped.",
        "Set the header in one place.",
    ),
    _row(
        "http-length-over",
        "RFC 9110, 8.6",
        ERROR,
        "The body has as many bytes as Content-Length says; what is beyond is cut off.",
        "Give the length in bytes of the body that is sent, or leave the header out.",
        reported=True,
    ),
    _row(
        "http-length-short",
        "RFC 9110, 8.6",
        ERROR,
        "The body has as many bytes as Content-Length says; a client waits for the rest in vain.",
        "Give the length in bytes of the body that is sent, or leave the header out.",
        reported=True,
    ),
    _row(
        "http-transfer-encoding",
        "RFC 9112, 6.1",
        ERROR,
        "The server applies the transfer coding, and an application may name only 'chunked'.",
        "Leave Transfer-Encoding out; for compression use Content-Encoding.",
        reported=True,
    ),
    _row(
        "http-content-type",
        "RFC 9110, 8.3",
        ADVICE,
        "A body has a Content-Type; without one browsers guess it.",
        "Name the type, such as 'text/plain; charset=utf-8' or 'application/octet-stream'.",
    ),
    _row(
        "http-no-content",
        "RFC 9110, 6.4.1",
        ADVICE,
        "Answers with the status 204, 205 or 304 have no body; what is sent is dropped.",
        "Send no body and no Content-Length with these, or give the status 200.",
    ),
    _row(
        "http-head-body",
        "RFC 9110, 9.3.2",
        NOTE,
        "An answer to HEAD has no body; what is sent is made and then dropped.",
        "Answer HEAD with the headers of GET and an empty body.",
    ),
    _row(
        "http-trailer-field",
        "RFC 9110, 6.5.1",
        ERROR,
        "Fields that frame, route or protect an answer are no trailers.",
        "Send the field among the headers.",
        reported=True,
    ),
)
