"""Puts real transcripts and the tables of options into docs/middleware.md.

Run it after a change of a middleware: `python -m tools.middleware_doc`. The first block of Python
in the document is the application. In each console block the line of bare-serve says which server
is asked, and below each line of curl stands what curl has printed; ids, dates and durations are put
in place of the real ones, so that the text stays the same. Tables are made of signatures and
docstrings. A test makes all of it anew and compares.
"""

from __future__ import annotations

import inspect
import re
import shlex
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import bare_serve
from bare_serve.cli.plain import split
from bare_serve.middleware.registry import NAMES

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "middleware.md"
_CONSOLE = re.compile(r"(?<=^```console\n)(.*?\n)(?=```$)", re.MULTILINE | re.DOTALL)
_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_OPTIONS = re.compile(r"(<!-- options of ([a-z-]+) -->\n)(.*?)(?=<!-- end -->)", re.DOTALL)
_STEADY = (
    (re.compile(r"\b[0-9a-f]{32}\b"), "4bf92f3577b34da6a3ce929d0e0e4736"),
    (re.compile(r"-[0-9a-f]{16}-0"), "-00f067aa0ba902b7-0"),
    (re.compile(r"(?i)(date: ).*"), r"\1Sun, 01 Nov 2026 08:00:00 GMT"),
    # What zlib makes of the report differs between its versions.
    (re.compile(r"(Content-Encoding: gzip\n(?:.+\n)*?Content-Length: )[0-9]+"), r"\g<1>66"),
    (re.compile(r"dur=[0-9.]+"), "dur=0.08"),
)


def application(text: str) -> Any:
    """Return the application of the document."""
    found = _PYTHON.search(text)
    assert found is not None
    names: dict[str, Any] = {"__name__": "shop"}
    exec(compile(found[1], "shop.py", "exec"), names)
    return names["app"]


def transcript(block: str, app: Any) -> str:
    """Return a console block with what its commands print now."""
    lines = [line for line in block.replace("\\\n", "\0").splitlines() if line.startswith("$ ")]
    command, *asks = [line.removeprefix("$ ").replace("\0", "\\\n") for line in lines]
    words = shlex.split(command.replace("\\\n", " "))
    assert words[:2] == ["bare-serve", "shop:app"], command
    line = split(words[2:], {})
    assert line is not None, command
    shown = [f"$ {command}"]
    settings = {**line.asked, "port": 0, "access_log": "off"}
    with bare_serve.Server(app, **settings) as server:
        port = server.addresses[0][1]
        for ask in asks:
            shown += [f"$ {ask}", *_printed(ask, int(port))]
    return "\n".join(shown) + "\n"


def _printed(ask: str, port: int) -> Iterator[str]:
    words = shlex.split(ask.replace("\\\n", " "))
    assert words[0] == "curl", ask
    there = ["--connect-to", f"localhost:8000:127.0.0.1:{port}", "--max-time", "20"]
    done = subprocess.run([*words[:1], *there, *words[1:]], capture_output=True, check=True)
    printed = done.stdout.decode("latin-1").replace("\r\n", "\n")
    for pattern, steady in _STEADY:
        printed = pattern.sub(steady, printed)
    yield from printed.rstrip("\n").splitlines()


def options(name: str) -> str:
    """Return the table of a middleware's options."""
    module, _, attribute = NAMES[name].partition(":")
    made = getattr(import_module(f"bare_serve.middleware.{module}"), attribute)
    texts = _arguments(inspect.getdoc(made.__init__) or "")
    rows = ["| Option | Default | |", "| --- | --- | --- |"]
    for parameter in inspect.signature(made).parameters.values():
        key = parameter.name.replace("_", "-")
        rows.append(f"| `{key}` | {_default(parameter.default)} | {texts[parameter.name]} |")
    return "\n".join(rows) + "\n"


def _arguments(docstring: str) -> dict[str, str]:
    """Return the descriptions of arguments, of a list of them or of the one that is described."""
    found: dict[str, str] = {}
    single = re.match(r"`(\w+)`: (.*?)(?:\n\n|\Z)", docstring, re.DOTALL)
    if single is not None:
        return {single[1]: " ".join(single[2].split())}
    part = re.search(r"^Args:\n(.*?)(?:\n\n|\Z)", docstring, re.MULTILINE | re.DOTALL)
    for name, text in re.findall(
        r"^    (\w+): (.*(?:\n        .*)*)", part[1] if part else "", re.MULTILINE
    ):
        found[name] = " ".join(text.split())
    return found


def _default(value: object) -> str:
    if value is inspect.Parameter.empty:
        return "required"
    if value is None or value in ("", ()):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(f"`{each}`" for each in value)
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value}`"


def made(text: str) -> str:
    """Return the document with all its parts made anew."""
    app = application(text)
    text = _OPTIONS.sub(lambda found: found[1] + options(found[2]), text)
    return _CONSOLE.sub(lambda found: transcript(found[1], app), text)


def main() -> None:
    """Write the document anew."""
    DOCUMENT.write_text(made(DOCUMENT.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
