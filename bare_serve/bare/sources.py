"""Where an argument comes from: a handler declares what it needs, and each need has one source.

What lives here: the markers of `Annotated`, and from one parameter to the function that gets its
argument (`source`). What must not: which providers a handler needs, and in what order they run
(plan.py). What nothing provides is a `TypeError` when the handler is added.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_args, get_origin

from bare_serve.bare.errors import UnprocessableContent
from bare_serve.bare.forms import Form, form_reader
from bare_serve.bare.request import Incoming, Request, check_json_type, decode_json
from bare_serve.bare.shapes import name_of, optional, text_reader, value_reader

if TYPE_CHECKING:
    from bare_serve.bare.templates import Converter

Getter = Callable[[Any, dict[Any, Any]], Any]
"""From a request and the values of providers to an argument."""

NONE, BYTES, FORM = range(3)
"""What of a body an argument needs: nothing, all of it, or a form's parts."""


class Use:
    """`Annotated[T, Use(provider)]`: the argument is what `provider` returns, or yields.

    A provider is a function, a generator function whose rest is run after the handler, or the async
    form of one. Its own parameters are declared like a handler's. It runs once a request.
    """

    __slots__ = ("provider",)

    def __init__(self, provider: Callable[..., Any]) -> None:
        """TypeError if the provider cannot be called."""
        if not callable(provider):
            raise TypeError(f"Use() takes a function, not {provider!r}")
        self.provider = provider


class Json:
    """`Annotated[T, Json]`: the argument is the body's JSON, of which `T` says what is accepted."""


OF_QUERY, OF_PATH, OF_REQUEST, OF_BODY, OF_PROVIDER = range(5)
"""What an argument is made of; of the path only if it is taken as it is."""


class Source(NamedTuple):
    """How an argument is got, what it is made of, what of the body that needs, and the provider."""

    get: Getter | None
    of: int
    body: int = NONE
    provider: Callable[..., Any] | None = None


def source(
    name: str, shape: Any, default: Any, empty: Any, path: dict[str, Converter], incoming: type
) -> Source:
    """Return the source of a parameter.

    Args:
        name: of the parameter.
        shape: its annotation, `empty` without one.
        default: its default, `empty` without one.
        empty: what stands for nothing.
        path: the parameters of the template, with their converters.
        incoming: `Request`, or the class of WebSockets.

    Raises:
        TypeError: nothing provides it; the message tells what could.
    """
    if get_origin(shape) is Annotated:
        shape, *marks = get_args(shape)
        for mark in marks:
            if isinstance(mark, Use):
                return Source(None, OF_PROVIDER, provider=mark.provider)
            if mark is Json or isinstance(mark, Json):
                return Source(_json(value_reader(shape)), OF_BODY, BYTES)
            if mark is Form or isinstance(mark, Form):
                return Source(_form(form_reader(shape)), OF_BODY, FORM)
    if name in path:
        return _path(name, shape, path[name], empty)
    if (shape is empty or shape is Any) and name in _NAMES[issubclass(incoming, Request)]:
        shape = incoming
    if isinstance(shape, type) and issubclass(shape, Incoming):
        if not issubclass(incoming, shape):
            raise TypeError(f"is a {shape.__name__}, which is not what this handler gets")
        body = BYTES if issubclass(incoming, Request) else NONE
        return Source(lambda request, values: request, OF_REQUEST, body)
    if shape is Form:
        return Source(lambda request, values: request.form, OF_BODY, FORM)
    if shape is bytes and name == "body":
        return Source(lambda request, values: request.content, OF_BODY, BYTES)
    if shape is empty:
        raise TypeError(
            "is not in the path and has no annotation: annotate it with Request, with str, int, "
            "float or bool (the query), or with Annotated[..., Use(provider)], Json or Form"
        )
    return Source(_query(name, shape, default, empty), OF_QUERY)


# Names that need no annotation, for requests and for WebSockets.
_NAMES = {True: ("request",), False: ("ws", "websocket", "socket")}


def _json(read: Callable[[Any, str], Any]) -> Getter:
    def get(request: Any, values: dict[Any, Any]) -> Any:
        check_json_type(request.content_type)
        return read(decode_json(request.content), "body")

    return get


def _form(read: Callable[[Form], Any]) -> Getter:
    return lambda request, values: read(request.form)


def _path(name: str, shape: Any, converter: Converter, empty: Any) -> Source:
    kind = converter.type_name
    if kind == "str" and shape in (int, float, bool):
        read, where = text_reader(shape), f"path.{name}"
        return Source(lambda request, values: read(request.path_params[name], where), OF_QUERY)
    if shape not in (empty, Any) and getattr(shape, "__name__", "") != kind:
        raise TypeError(
            f"is {name_of(shape)}, but the path gives {kind}: write "
            f"{{{name}:...}} with another converter in the path, or another annotation"
        )
    return Source(lambda request, values: request.path_params[name], OF_PATH)


def _query(name: str, shape: Any, default: Any, empty: Any) -> Getter:
    shape, may_be_none = optional(shape)
    if default is empty and may_be_none:
        default = None
    where = f"query.{name}"
    if get_origin(shape) is list:
        read = text_reader(*get_args(shape))

        def get_all(request: Any, values: dict[Any, Any]) -> Any:
            given = request.query_params.get(name)
            if given is None:
                return [] if default is empty else default
            return [read(each, where) for each in given]

        return get_all
    try:
        read = text_reader(shape)
    except TypeError as error:
        raise TypeError(
            f"has nothing that provides it: {error}, and it is not in the path. "
            "Annotated[..., Use(provider)], Json and Form are other sources"
        ) from None

    def get(request: Any, values: dict[Any, Any]) -> Any:
        given = request.query_params.get(name)
        if given is not None:
            return read(given[0], where)
        if default is empty:
            raise UnprocessableContent("This is missing.", where=where)
        return default

    return get
