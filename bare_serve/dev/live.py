"""Pages that load themselves again: the script, its tag, and which answers get it.

What lives here: `--live` in pure functions, and around an application of each interface. What must
not: error pages, though they have the same script.

The tag is appended behind the last piece, so that nothing of an answer is held: streams stay
streams. Its length is known with the head, so that a Content-Length is raised by it. Answers that
this would harm are left alone: compressed ones, parts of one (206), those with a digest of their
content or with trailers. An ETag or Last-Modified is taken off, since it is no longer that of these
bytes, and a browser that keeps the page would have it refresh itself for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableMapping
from html import escape
from typing import Any, Final

from bare_serve.dev.asked import Asked

OWN: Final = "/__bare_serve__/"
"""Where the paths of the development loop begin, below the root path."""
OWN_PATHS: Final = f"*{OWN}*"
"""A glob of these paths, whatever the root path is."""

Message = MutableMapping[str, Any]

# 200, and what else may be a page, such as a 404 whose view is still being written.
_STATUSES: Final = frozenset((200, *range(400, 600)))
_LEFT_ALONE: Final = frozenset(
    (
        *("content-encoding", "content-range", "content-md5", "digest", "content-digest"),
        *("repr-digest", "trailer", "transfer-encoding"),
    )
)
_VALIDATORS: Final = frozenset(("etag", "last-modified"))
_WIDE: Final = ("utf-16", "utf-32", "ucs-2")
_EXTENSIONS: Final = ("http.response.pathsend", "http.response.zerocopysend")
"""By which files are sent behind which nothing can be appended."""

SCRIPT: Final = """\
// Asks each half second whether other code serves, and then loads the page again.
(() => {
  "use strict";
  const me = document.currentScript;
  if (!me || window.bareServeLive) return;
  window.bareServeLive = true;
  const where = me.src.slice(0, me.src.lastIndexOf("/") + 1) + "version";
  const parse = text => text.split(".").map(Number);
  const [version, failure] = parse(me.dataset.state);
  const kept = "bare-serve-live";
  let timer = 0, asking = false;

  // A page that comes out of a cache, or from code that is about to end, does not refresh for ever.
  function tooOften(change) {
    try {
      const now = Date.now();
      const last = JSON.parse(sessionStorage.getItem(kept) || "{}");
      const count = last.change === change && now - last.at < 10000 ? last.count + 1 : 1;
      sessionStorage.setItem(kept, JSON.stringify({change, count, at: now}));
      return count > 5;
    } catch {
      return false;
    }
  }

  async function look() {
    clearTimeout(timer);
    if (asking || document.visibilityState === "hidden") return;
    asking = true;
    let answer = "", pause = 500;
    try {
      const response = await fetch(where, {cache: "no-store", redirect: "error"});
      if (response.ok) answer = await response.text();
      else if (response.status === 503) pause = 100;  // other code serves in a moment
    } catch {
      // The server is between two lives: ask again.
    }
    asking = false;
    if (/^\\d+\\.\\d+$/.test(answer)) {
      const [newest, broken] = parse(answer);
      if ((newest > version || broken !== failure) && !tooOften(location.href + answer)) {
        if (!("resend" in me.dataset)) return location.reload();
        const note = document.getElementById("mended");
        note.hidden = false;
        note.querySelector("button").addEventListener("click", () => location.reload());
        return;
      }
    }
    timer = setTimeout(look, pause);
  }

  document.addEventListener("visibilitychange", look);
  timer = setTimeout(look, 500);
})();
"""


def tag(root: str, state: str, *, resend: bool = False) -> str:
    """Return the element that loads the script.

    Args:
        root: the root path, without a slash at its end.
        state: code and failure, as the browser is told them at `OWN` and "version".
        resend: loading the page again would send a form again, so that a person has to ask for it.
    """
    source = escape(f"{root}{OWN}live.js")
    asks = " data-resend" if resend else ""
    return f'<script src="{source}" data-state="{escape(state)}"{asks}></script>'


def is_page(status: int, fields: Iterable[tuple[str, str]]) -> bool:
    """Return whether an answer with this head is a page behind which the tag can stand.

    `fields` have names in lower case.
    """
    if status not in _STATUSES:
        return False
    kind = ""
    for name, value in fields:
        if name in _LEFT_ALONE:
            return False
        if name == "content-type":
            kind = value.lower()
    return kind.partition(";")[0].strip() == "text/html" and not any(wide in kind for wide in _WIDE)


def raised(name: str, value: str, more: int) -> str | None:
    """Return what becomes of a field of a page that gets `more` bytes; None if it is taken off."""
    if name in _VALIDATORS:
        return None
    if name == "content-length" and value.strip().isdigit():
        return str(int(value) + more)
    return value


# ---------------------------------------------------------------------- WSGI


def wsgi(application: Callable[..., Any], asked: Asked, state: str) -> Callable[..., Any]:
    """Return an application whose answer to this request is live, if it is a page."""
    script = tag(asked.root, state).encode("latin-1")

    def called(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        appended = b""

        def start(status: str, headers: Any, exc_info: Any = None) -> Any:
            nonlocal appended
            appended = b""
            # What is no head of PEP 3333 is for the server to judge.
            if isinstance(status, str) and status[:3].isdigit() and type(headers) is list:
                try:
                    fields = [(name.lower(), value) for name, value in headers]
                    if is_page(int(status[:3]), fields):
                        appended = script
                        headers = _with_script(headers, len(script))
                except (TypeError, ValueError, AttributeError):
                    pass
            return start_response(status, headers, *(() if exc_info is None else (exc_info,)))

        result = application(environ, start)
        if type(result) in (list, tuple):
            return [*result, appended] if appended else result
        if hasattr(result, "__iter__") and not isinstance(result, (str, bytes)):
            if appended or not _is_file(result, environ):
                return _Appending(result, lambda: appended)
        return result

    return called


def _is_file(result: Any, environ: dict[str, Any]) -> bool:
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(wrapper, type) and isinstance(result, wrapper)


def _with_script(headers: list[tuple[str, str]], more: int) -> list[tuple[str, str]]:
    changed = [(name, raised(name.lower(), value, more)) for name, value in headers]
    return [(name, value) for name, value in changed if value is not None]


class _Appending:
    """What an application has returned, and then the tag, if the head turned out to be a page's."""

    def __init__(self, result: Any, last: Callable[[], bytes]) -> None:
        self._result = result
        self._last = last

    def __iter__(self) -> Iterator[bytes]:
        yield from self._result
        if last := self._last():
            yield last

    def close(self) -> None:
        """Close what the application has returned, if it can be closed."""
        close = getattr(self._result, "close", None)
        if close is not None:
            close()


# ---------------------------------------------------------------------- ASGI


def asgi(application: Callable[..., Any], asked: Asked, state: str) -> Callable[..., Any]:
    """Return an application whose answer to this request is live, if it is a page."""
    script = tag(asked.root, state).encode("latin-1")

    async def called(scope: MutableMapping[str, Any], receive: Any, send: Any) -> Any:
        appends = False

        async def sent(message: Message) -> None:
            nonlocal appends
            if message["type"] == "http.response.start":
                appends, message = _live_head(message, len(script))
            elif (
                appends
                and message["type"] == "http.response.body"
                and not message.get("more_body", False)
            ):
                appends = False
                message = {**message, "body": bytes(message.get("body", b"")) + script}
            await send(message)

        await application(_without_files(scope), receive, sent)

    return called


def _without_files(scope: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    offered = scope.get("extensions")
    if not offered or not any(name in offered for name in _EXTENSIONS):
        return scope
    rest = {name: value for name, value in offered.items() if name not in _EXTENSIONS}
    changed = dict(scope)  # the server may hold the one that it has made
    changed["extensions"] = rest
    return changed


def _live_head(message: Message, more: int) -> tuple[bool, Message]:
    """Return whether the answer is a page, and its head as it then is."""
    try:
        headers = [(bytes(name), bytes(value)) for name, value in message.get("headers", ())]
        fields = [(n.decode("latin-1").lower(), v.decode("latin-1")) for n, v in headers]
        if message.get("trailers") or not is_page(message["status"], fields):
            return False, message
    except (TypeError, ValueError, KeyError):
        return False, message  # for the server to judge
    changed: list[tuple[bytes, bytes]] = []
    for (name, _), (lower, value) in zip(headers, fields, strict=True):
        found = raised(lower, value, more)
        if found is not None:
            changed.append((name, found.encode("latin-1")))
    return True, {**message, "headers": changed}
