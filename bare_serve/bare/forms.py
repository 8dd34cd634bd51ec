"""A form is what a browser sends of one: bounded in every direction, files kept out of memory.

What lives here: forms (RFC 7578, and urlencoded), read piece by piece as the body comes. What must
not: how many bytes a body may have (request.py). The grammar of multipart is that of the package
`multipart`, which is imported for the first form that needs it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from bare_serve.bare.errors import BadRequest, ContentTooLarge, UnsupportedMediaType
from bare_serve.bare.fields import Fields
from bare_serve.bare.response import BYTES

MOST_PARTS = 128
MOST_HEADERS = 8
MOST_HEADER_BYTES = 4096
MOST_TEXT_BYTES = 64 * 1024
SPOOL_BYTES = 64 * 1024
"""A file beyond this many bytes goes from memory to a temporary file without a name."""


class Upload(NamedTuple):
    """A file of a form."""

    filename: str
    """As the browser says, its folders cut off; never a path to write to."""
    content_type: str
    """As the browser says."""
    file: Any
    """A binary file, at its beginning; closed after the answer."""
    size: int
    """In bytes."""


class Form(Fields):
    """The fields of a form, each `str` or `Upload`."""

    def __init__(self) -> None:
        """Begin without a field."""
        super().__init__()
        self.files: list[Any] = []

    def close(self) -> None:
        """Close the files."""
        for file in self.files:
            file.close()


async def read_form(form: Form, content_type: str, pieces: AsyncIterator[bytes]) -> None:
    """Read the fields of a form, from the pieces of a body.

    Raises:
        HTTPError: it is no form, is malformed, or too large.
        RuntimeError: it needs the package `multipart`, which is not installed.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        await _read_multipart(form, content_type, pieces)
    elif kind == "application/x-www-form-urlencoded":
        content = b"".join([piece async for piece in pieces])
        try:
            text, most = content.decode("ascii"), MOST_PARTS
            pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=most)
        except ValueError:
            what = f"The form cannot be decoded, or has more than {MOST_PARTS} fields."
            raise BadRequest(what, where="body") from None
        for name, value in pairs:
            form.add(name, value)
    else:
        what = f"The body must be a form (urlencoded or multipart), not {kind or 'of no type'}."
        raise UnsupportedMediaType(what, where="content-type")


async def _read_multipart(form: Form, content_type: str, pieces: AsyncIterator[bytes]) -> None:
    from tempfile import SpooledTemporaryFile

    try:
        import multipart
    except ImportError:
        raise RuntimeError(
            "forms with files need the package 'multipart': pip install 'bare-serve[forms]'"
        ) from None
    part: Any = None
    into: Any = None
    try:
        parser = multipart.PushMultipartParser(
            multipart.parse_options_header(content_type)[1].get("boundary", ""),
            max_header_size=MOST_HEADER_BYTES,
            max_header_count=MOST_HEADERS,
            max_segment_count=MOST_PARTS,
            strict=True,
        )
        async for piece in pieces:
            for event in parser.parse(piece):
                if event is None:
                    _add(form, part, into)
                elif not isinstance(event, (bytes, bytearray)):
                    part, into = event, SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115
                    form.files.append(into)
                elif part.filename is None and into.tell() + len(event) > MOST_TEXT_BYTES:
                    what = f"A field has more than {MOST_TEXT_BYTES} bytes."
                    raise ContentTooLarge(what, where=f"body.{part.name:.40}")
                else:
                    into.write(event)
        if not parser.closed:
            [*parser.parse(b"")]
    except (multipart.MultipartError, UnicodeError) as error:
        is_large = isinstance(error, multipart.ParserLimitReached)
        what = f"The form cannot be read: {error}"
        raise (ContentTooLarge if is_large else BadRequest)(what, where="body") from None


def _add(form: Form, part: Any, file: Any) -> None:
    file.seek(0)
    if part.filename is None:
        form.add(part.name, file.read().decode("utf-8"))
        return
    name = part.filename.replace("\\", "/").rpartition("/")[2]
    form.add(part.name, Upload(name, part.content_type or BYTES, file, part.size))
