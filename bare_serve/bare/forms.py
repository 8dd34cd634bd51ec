"""A form is what a browser sends of one: bounded in every direction, files kept out of memory.

What lives here: forms (RFC 7578, and urlencoded), read piece by piece as the body comes. What must
not: how many bytes a body may have (body.py). The grammar of multipart is that of the package
`multipart`, which is imported for the first form that needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, get_args, get_origin
from urllib.parse import parse_qsl

from bare_serve.bare.errors import BadRequest, ContentTooLarge, UnsupportedMediaType
from bare_serve.bare.shapes import Reader, optional, text_reader, value_reader, wrong

MOST_PARTS = 128
MOST_HEADERS = 8
MOST_HEADER_BYTES = 4096
MOST_TEXT_BYTES = 64 * 1024
SPOOL_BYTES = 64 * 1024
"""A file beyond this many bytes goes from memory to a temporary file without a name."""

_URLENCODED = "application/x-www-form-urlencoded"


class Upload:
    """A file of a form.

    Attributes:
        filename: as the browser says, its folders cut off; never a path to write to.
        content_type: as the browser says.
        file: a binary file, at its beginning; closed after the answer.
        size: bytes.
    """

    __slots__ = ("content_type", "file", "filename", "size")

    def __init__(self, filename: str, content_type: str, file: Any, size: int = 0) -> None:
        """Keep what is known of a file."""
        self.filename = filename.replace("\\", "/").rpartition("/")[2]
        self.content_type = content_type
        self.file = file
        self.size = size

    def __repr__(self) -> str:
        return f"<Upload {self.filename!r}, {self.size} bytes>"


class Form(Mapping[str, "str | Upload"]):
    """The fields of a form; also the marker of `Annotated[T, Form]`, whose `T` says what they
    are."""

    def __init__(self) -> None:
        """Begin without a field."""
        self._found: dict[str, list[str | Upload]] = {}

    def add(self, name: str, value: str | Upload) -> None:
        """Add a field beside those with the same name."""
        self._found.setdefault(name, []).append(value)

    def all(self, name: str) -> list[str | Upload]:
        """Return each value of a field, in order; an empty list without one."""
        return [*self._found.get(name, ())]

    def close(self) -> None:
        """Close the files."""
        for values in self._found.values():
            for value in values:
                if isinstance(value, Upload):
                    value.file.close()

    def __getitem__(self, name: str) -> str | Upload:
        return self._found[name][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        return f"Form({self._found!r})"


class FormParser(Protocol):
    """What turns the pieces of a body into a form."""

    form: Form

    def feed(self, piece: bytes) -> None:
        """Take a piece; HTTPError if the form is malformed, or too large."""

    def finish(self) -> None:
        """Take the end of the body; HTTPError if the form is not whole."""


def form_parser(content_type: str) -> FormParser:
    """Return the parser of a form by its Content-Type.

    Raises:
        UnsupportedMediaType: it is no form.
        RuntimeError: it needs the package `multipart`, which is not installed.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == _URLENCODED:
        return _Urlencoded()
    if kind == "multipart/form-data":
        return _Multipart(content_type)
    raise UnsupportedMediaType(
        f"The body must be a form ({_URLENCODED} or multipart/form-data), "
        f"not {kind or 'of no type'}.",
        where="content-type",
    )


class _Urlencoded:
    def __init__(self) -> None:
        self.form = Form()
        self._pieces: list[bytes] = []

    def feed(self, piece: bytes) -> None:
        self._pieces.append(piece)

    def finish(self) -> None:
        try:
            text = b"".join(self._pieces).decode("ascii")
            pairs = parse_qsl(
                text, keep_blank_values=True, errors="strict", max_num_fields=MOST_PARTS
            )
        except ValueError:
            raise BadRequest(
                f"The form cannot be decoded, or has more than {MOST_PARTS} fields.", where="body"
            ) from None
        for name, value in pairs:
            self.form.add(name, value)


class _Multipart:
    def __init__(self, content_type: str) -> None:
        try:
            import multipart
        except ImportError:
            raise RuntimeError(
                "forms with files need the package 'multipart': pip install 'bare-serve[forms]'"
            ) from None
        self.form = Form()
        self._broken = multipart.MultipartError
        self._limit = multipart.ParserLimitReached
        _, options = multipart.parse_options_header(content_type)
        try:
            self._parser = multipart.PushMultipartParser(
                options.get("boundary", ""),
                max_header_size=MOST_HEADER_BYTES,
                max_header_count=MOST_HEADERS,
                max_segment_count=MOST_PARTS,
                strict=True,
            )
        except (multipart.MultipartError, UnicodeError):
            raise BadRequest("The form has no boundary.", where="content-type") from None
        self._part: Any = None
        self._into: Any = None

    def feed(self, piece: bytes) -> None:
        try:
            for event in self._parser.parse(piece):
                self._take(event)
        except (self._broken, UnicodeDecodeError) as error:
            self.form.close()
            kind = ContentTooLarge if isinstance(error, self._limit) else BadRequest
            raise kind(f"The form cannot be read: {error}", where="body") from None

    def finish(self) -> None:
        if not self._parser.closed:
            self.feed(b"")

    def _take(self, event: Any) -> None:
        """Take a part's head, some of its bytes, or (None) its end."""
        if event is None:
            part, into = self._part, self._into
            if part.filename is None:
                self.form.add(part.name, into.decode("utf-8"))
            else:
                into.seek(0)
                kind = part.content_type or "application/octet-stream"
                self.form.add(part.name, Upload(part.filename, kind, into, part.size))
        elif isinstance(event, (bytes, bytearray)):
            if self._part.filename is None:
                if len(self._into) + len(event) > MOST_TEXT_BYTES:
                    raise ContentTooLarge(
                        f"A field has more than {MOST_TEXT_BYTES} bytes.",
                        where=f"body.{self._part.name:.40}",
                    )
                self._into += event
            else:
                self._into.write(event)
        else:
            self._part = event
            self._into = bytearray() if event.filename is None else _spool()


def _spool() -> Any:
    from tempfile import SpooledTemporaryFile

    return SpooledTemporaryFile(SPOOL_BYTES)


def form_reader(shape: Any) -> Callable[[Form], Any]:
    """Return the reader of a form as Form, dict[str, str], a dataclass or a TypedDict.

    Raises:
        TypeError: the type is none of these, or a field's cannot be read from text.
    """
    if shape is Form:
        return lambda form: form
    read = value_reader(shape, _field_reader)
    return lambda form: read({name: form.all(name) for name in form}, "body")


def _field_reader(shape: Any) -> Reader:
    shape, may_be_none = optional(shape)
    if get_origin(shape) is list:
        one = _field_reader(*get_args(shape))
        return lambda values, where: [one([each], where) for each in values]
    read = _read_upload if shape is Upload else text_reader(shape)

    def read_first(values: list[str | Upload], where: str) -> Any:
        first = values[0]
        if may_be_none and (first == "" or (isinstance(first, Upload) and not first.filename)):
            return None  # what a browser sends of an input that was left empty
        if shape is not Upload and not isinstance(first, str):
            raise wrong(where, "text", first)
        return read(first, where)

    return read_first


def _read_upload(value: Any, where: str) -> Upload:
    if not isinstance(value, Upload):
        raise wrong(where, "a file", value)
    return value
