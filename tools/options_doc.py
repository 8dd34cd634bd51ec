"""Writes docs/configuration.md and docs/migrating.md from the tables of bare_serve.

Run it after a change of an option: `python -m tools.options_doc`. A test compares the files.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bare_serve.config.foreign import SENSIBLE_THREADS, TABLE, Foreign
from bare_serve.config.options import GROUPS
from bare_serve.config.settings import BY_NAME, OPTIONS
from bare_serve.hooks.loading import GUNICORNS, NAMES

MOVING = Path(__file__).resolve().parents[1] / "tests" / "cli" / "moving"
_OF_OURS = ("worker_ready",)
DOCS = Path(__file__).resolve().parents[1] / "docs"
_CONFIGURATION = """# Settings

Made by `python -m tools.options_doc` from the table in `bare_serve/config/settings.py`.

Each option is a flag, a variable and a key, whose name is the flag's without the hyphens in
front. Some options are not all of these: the application is not a flag but stands by itself on
the command line (its key is `app`), and files say neither `config`, `env-file` nor `dev`.

The stronger source wins: defaults, then `[tool.bare-serve]` of `pyproject.toml`,
`bare-serve.toml` (or the file of `--config`), the file of `--env-file`, the environment, the
command line. Times are `10`, `1.5`, `500ms`, `2m`, `5min`, `1h` or `off`; sizes are `4096`, `64KiB`
or `1MiB` (1024 x 1024 bytes), `64kB` or `1MB` (1000 x 1000 bytes).
`--print-config` shows each value and where it came from; with `--log-format json`, as JSON;
`--print-config changed` only those that differ from the defaults.
What means nothing to the kind of application that is served, as `--threads` to ASGI, is warned of
at the start.

## The file of --env-file

Its syntax is that of [python-dotenv](https://pypi.org/project/python-dotenv/), which uvicorn and
Flask read such files with. What the environment already has stays as it is there.

- `NAME=value`: blanks around the name, the `=` and the value are left out; `export` may stand in
  front.
- `NAME=value # why`: a comment begins behind a blank. `a#b` is a value.
- `NAME="value"`: may span lines, as keys and certificates do. `\\n`, `\\t`, `\\r`, `\\a`, `\\b`,
  `\\f`, `\\v`, `\\"`, `\\'` and `\\\\` are read; any other backslash stays.
- `NAME='value'`: may span lines. Only `\\'` and `\\\\` are read.
- `${NAME}`, `${NAME:-default}`: what the environment has, else what the file has said before, else
  the default or nothing. `$NAME` stays as it is.

The file is UTF-8; a byte order mark and Windows' ends of lines are understood. Two things differ
from python-dotenv: a line that is no `NAME=value` is an error that names the line, and not passed
over; and in single quotes `${NAME}` stands for itself.
"""
_MIGRATING = """# Coming from gunicorn or uvicorn

Made by `python -m tools.options_doc` from the table in `bare_serve/config/foreign.py`.

Two ways lead here, and both tell everything at once. **Replace the program's name** in the
command: flags that are spelled otherwise work, those that mean nothing here are left out with one
warning, and those that have to be decided on are refused together, each with its answer, and with
the line that remains, ready to copy. Or **have a file made**:

```console
$ bare-serve --migrate gunicorn.conf.py      # read as text, never run
$ bare-serve --migrate Procfile              # a unit, a compose file, a Dockerfile, a manifest
$ bare-serve --migrate gunicorn -w 4 shop    # a command as it stands
$ bare-serve --migrate                       # GUNICORN_CMD_ARGS, UVICORN_*
$ bare-serve --migrate gunicorn.conf.py > bare-serve.toml && bare-serve --check
```

What it prints is TOML as a whole. Values are checked as at a start; what has to be decided on,
what is left out and why, what differs unasked, and a skeleton of the hooks are comments in it. A
`gunicorn.conf.py` in the directory, `GUNICORN_CMD_ARGS` and `UVICORN_*` are not read by a start,
and each is a warning there. Keys of theirs in a file of ours, and variables such as
`BARE_SERVE_TIMEOUT`, are answered all at once, as flags are.

## A whole example

A `gunicorn.conf.py` of a platform:

```python
{theirs}```

and what is made of it:

```toml
{ours}```

## What differs

The kind of application is recognised, so there are no worker classes, and **no proxy is trusted**
unless `--forwarded-allow-ips` (or `FORWARDED_ALLOW_IPS`, which the others read too) names it,
also not one on the same machine. A trusted one may then set everything it sends: client, scheme,
host, port and prefix. Let it overwrite all these headers, or name those that it does in
`--forwarded-headers`. There is no `secure_scheme_headers`, and `X-Forwarded-Ssl` and
`X-Forwarded-Protocol` are not read: have the proxy set `X-Forwarded-Proto`.

gunicorn's `--timeout` ends a worker that shows no sign of life, which with sync workers is one
whose call is slow. These are two things here: `--timeout-worker` for a worker that hangs,
`--timeout-request` for one call.

gunicorn's `--proxy-protocol v1` (or `v2`, `auto`) is `--proxy-protocol` here, without a value:
both versions are understood. Its `--proxy-allow-from` is `--forwarded-allow-ips`. A trusted proxy
then *has* to send the header, and the client it names has to be trusted as well before its
`X-Forwarded-*` are read ([deployment.md](deployment.md)).

`--log-config` takes JSON, or TOML in a file whose name ends in `.toml`, and not INI or YAML. A
factory may have arguments as with gunicorn, `"app:create_app('prod', debug=True)"`: literals of
Python. `SCRIPT_NAME` is not read from the environment: use `BARE_SERVE_ROOT_PATH`. `--keep-alive
0` closes after each answer here too; `off` never.

What a mistake on the command line looks like here and there: [mistakes.md](mistakes.md).

WebSockets of Flask-Sock and Flask-SocketIO work in threads, without gevent or eventlet
([wsgi.md](wsgi.md)).

## gevent and eventlet

Green threads are there so that many calls can wait at once. Here a WSGI call that waits has a
thread of its own: `--threads N` lets so many of a worker's calls wait, and while one waits
another thread serves. A call holds its thread until its answer is complete, and so does each
event stream and WebSocket as long as it lasts. Clients that read or write slowly hold none.
Nothing is patched: leave out `monkey.patch_all()` and the drivers made for it.

How many are sensible was measured on CPython 3.11 with a view that sleeps for 50 ms and as many
clients as calls may wait, in one worker, and then with `gunicorn -k gevent` (27.0.1, gevent
26.9), on a machine that had other work: CPU time, which that disturbs less than time, and private
memory of the worker.

| | CPU time of a request | memory of the worker |
| --- | --- | --- |
| `--threads 8`, 8 clients | 590 us | 9.6 MiB |
| `--threads {threads}`, 64 clients | 307 to 424 us | 12.1 MiB |
| `--threads 128`, 128 clients | 423 to 436 us | 15.5 MiB |
| `--threads 256`, 256 clients | 552 to 556 us | 21 MiB |
| gevent, 64 clients | 520 us | 13.6 MiB |
| gevent, 256 clients | 505 us | 15.4 MiB |

So a thread takes some 45 KiB, and up to 128 threads cost no more time than green ones; at 256,
the most there are, a request takes a tenth more. Hence `--threads {threads}` is what is proposed
in the place of gevent. If more calls than `--threads` times `--workers` are to wait at once, and
thousands of connections are mostly idle, take an ASGI application. An application that is not
safe in threads was not safe in green ones that switch in its midst, either, but it may show less
often there: locks, sessions of databases per thread, no global state.
"""
_HOOKS = """
## Hooks

A hook takes one argument, a record of facts, and lives in the module of `--hooks`
([operations.md](operations.md)).

| Theirs | Here |
| --- | --- |
"""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def configuration() -> str:
    """Return the text of docs/configuration.md."""
    parts = [_CONFIGURATION]
    for group in GROUPS:
        parts.append(
            f"\n## {group}\n\n| Option | Variable | Default | |\n| --- | --- | --- | --- |\n"
        )
        for option in OPTIONS:
            if option.group != group:
                continue
            known = option.default not in (None, "", (), Path())
            default = f"`{_cell(option.kind.show(option.default))}`" if known else ""
            flags = f"`{option.short}`, " if option.short else ""
            flags += "`APP`" if option.name == "app" else f"`{option.flag}`"
            if option.kind.switch and option.default is True:
                flags += f", `--no-{option.key}`"
            names = f"`{option.variable}`"
            if option.platform_variable:
                names += f", `{option.platform_variable}`"
            parts.append(f"| {flags} | {names} | {default} | {_cell(option.help)} |\n")
    return "".join(parts)


def _table(title: str, heads: tuple[str, str, str], rows: Iterable[tuple[str, str, str]]) -> str:
    lines = [f"\n## {title}\n", f"| {' | '.join(heads)} |", "| --- | --- | --- |"]
    lines += [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    return "\n".join(lines) + "\n"


def _names(row: Foreign, ours: set[str]) -> tuple[str, str]:
    """Return the flags and the keys of a setting of theirs, as far as they are none of ours."""
    flags = ", ".join(f"`{flag}`" for flag in row.flags if flag not in ours)
    keys = dict.fromkeys(key for key in row.names if f"--{key.replace('_', '-')}" not in ours)
    return flags, ", ".join(f"`{key}`" for key in keys)


def _meaning(row: Foreign) -> str:
    value = f" {row.value}" if row.value == "off" else ""
    return "`APP`" if row.option == "app" else f"`{BY_NAME[row.option].flag}{value}`"


def migrating() -> str:
    """Return the text of docs/migrating.md."""
    ours = {option.flag for option in OPTIONS}
    rows = [(*_names(row, ours), row) for row in TABLE]
    rows = [each for each in rows if each[0] or each[1]]
    heads = ("Flag", "Key", "Here")
    same = [(flags, keys, _meaning(row)) for flags, keys, row in rows if row.option]
    idle = [(flags, keys, row.text) for flags, keys, row in rows if row.idle]
    ask = [(flags, keys, row.text) for flags, keys, row in rows if not row.option and not row.idle]
    example = MOVING / "platform"
    text = _MIGRATING.format(
        theirs=(example / "gunicorn.conf.py").read_text(encoding="utf-8"),
        ours=(example / "bare-serve.toml").read_text(encoding="utf-8"),
        threads=SENSIBLE_THREADS,
    )
    hooks = [(name, name) for name in NAMES] + [*GUNICORNS.items()]
    return "".join(
        (
            text,
            _HOOKS,
            *(
                f"| `{theirs}` | {f'`{name}`' if name else 'there is nothing like it'} |\n"
                for theirs, name in sorted(hooks)
                if theirs not in _OF_OURS
            ),
            _table("Flags that work as they are", heads, same),
            _table("Settings that mean nothing here", heads, idle),
            _table("Settings that are answered", heads, ask),
        )
    )


def main() -> None:
    """Write both files."""
    (DOCS / "configuration.md").write_text(configuration(), encoding="utf-8")
    (DOCS / "migrating.md").write_text(migrating(), encoding="utf-8")


if __name__ == "__main__":
    main()
