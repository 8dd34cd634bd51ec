"""Writes docs/configuration.md and docs/migrating.md from the tables of bare_serve.

Run it after a change of an option: `python -m tools.options_doc`. A test compares the files.
"""

from __future__ import annotations

from pathlib import Path

from bare_serve.cli.compat import ANSWERS, SAME
from bare_serve.config.options import GROUPS
from bare_serve.config.settings import BY_NAME, OPTIONS

DOCS = Path(__file__).resolve().parents[1] / "docs"
_CONFIGURATION = """# Settings

Made by `python -m tools.options_doc` from the table in `bare_serve/config/settings.py`.

Each option is a flag, a variable and a key, whose name is the flag's without the hyphens in
front. Some options are not all of these: the application is not a flag but stands by itself on
the command line (its key is `app`), and files say neither `config`, `env-file` nor `dev`.

The stronger source wins: defaults, then `[tool.bare-serve]` of `pyproject.toml`,
`bare-serve.toml` (or the file of `--config`), the file of `--env-file`, the environment, the
command line. Times are `10`, `1.5`, `500ms`, `2m` or `off`; sizes are `4096`, `64KiB` or `1MiB`.
`--print-config` shows each value and where it came from; with `--log-format json`, as JSON.
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

Made by `python -m tools.options_doc` from the tables in `bare_serve/cli/compat.py`.

Most flags are spelled alike. Those that are not either work as they are, or end the command with
the sentence below. Two habits differ: the kind of application is recognised, so there are no worker
classes, and **no proxy is trusted** unless `--forwarded-allow-ips` (or `FORWARDED_ALLOW_IPS`, which
the others read too) names it, also not one on the same machine. A trusted one may then set
everything it sends: client, scheme, host, port and prefix. Let it overwrite all these headers, or
name those that it does in `--forwarded-headers`.

With WSGI a call holds one of `--threads` until its answer is complete, and so does each event
stream as long as it lasts: raise `--threads` accordingly, or end streams whose client has left
(`waitress.client_disconnected` in the environ works here as well; [wsgi.md](wsgi.md)). gunicorn's
`--timeout`, which ends a worker whose calls are slow, has no counterpart: `--timeout-request`
bounds one call. Clients that read slowly hold none of the threads.

gunicorn's `--proxy-protocol v1` (or `v2`, `auto`) is `--proxy-protocol` here, without a value: both
versions are understood. Its `--proxy-allow-from` is `--forwarded-allow-ips`. A trusted proxy then
*has* to send the header, and the client it names has to be trusted as well before its
`X-Forwarded-*` are read ([deployment.md](deployment.md)). For `--proxy-protocol off`, leave it out.

`--config` takes TOML and not `gunicorn.conf.py`; `--log-config` takes JSON, or TOML in a file whose
name ends in `.toml`, and not INI or YAML. A factory may have arguments as with gunicorn,
`"app:create_app('prod', debug=True)"`: literals of Python. `GUNICORN_CMD_ARGS`, `UVICORN_*` and
`SCRIPT_NAME` are not read from the environment: use `BARE_SERVE_*`
([configuration.md](configuration.md)), for the last one `BARE_SERVE_ROOT_PATH`. `--keep-alive 0`
closes after each answer here too; `off` never.
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


def migrating() -> str:
    """Return the text of docs/migrating.md."""
    ours = {option.flag for option in OPTIONS}
    parts = [_MIGRATING, "\n## Flags that work as they are\n\n| Theirs | Ours |\n| --- | --- |\n"]
    for flag, same in SAME.items():
        if flag not in ours and same.option in BY_NAME:
            value = f" {same.value}" if same.value == "off" else ""
            parts.append(f"| `{flag}` | `{BY_NAME[same.option].flag}{value}` |\n")
    parts.append("\n## Flags that are answered\n\n| Theirs | Here |\n| --- | --- |\n")
    for flag, answer in ANSWERS.items():
        if flag not in ours:
            parts.append(f"| `{flag}` | {_cell(answer.text)} |\n")
    return "".join(parts)


def main() -> None:
    """Write both files."""
    (DOCS / "configuration.md").write_text(configuration(), encoding="utf-8")
    (DOCS / "migrating.md").write_text(migrating(), encoding="utf-8")


if __name__ == "__main__":
    main()
