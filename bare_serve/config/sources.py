"""Where settings come from, and which source wins.

`load` reads the sources, each stronger than the one before: defaults, [tool.bare-serve] of
pyproject.toml, bare-serve.toml or the file of --config, PORT and its like, BARE_SERVE_<OPTION>
(of --env-file where the environment has none), what was asked for (the command line, or keyword
arguments from Python); what a switch such as --dev implies is weaker than all of them, and stronger
than a default. Options that contradict each other are refused within one source; between sources
the stronger one wins. A mistake is refused with the file, the line and the key.

The options themselves are in config/settings.py. Nothing is bound, imported or printed here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from bare_serve.config import kinds
from bare_serve.config.development import ENV_FILE, IMPLIED
from bare_serve.config.options import PREFIX
from bare_serve.config.settings import BY_NAME, OPTIONS, Settings
from bare_serve.errors import UsageError, nearest
from bare_serve.net.bind_address import lacks_port

PROJECT_FILE = "pyproject.toml"
OWN_FILE = "bare-serve.toml"
_LINK = "_SERVICE_HOST"
# They say where to read: a file cannot say it of itself.
_NOT_IN_FILES = ("config", "env_file", "dev")

# Within one source these contradict each other; from two sources the stronger one wins, and
# what the weaker one said is forgotten.
_RIVALS = (
    ("asgi", "wsgi"),
    ("asgi", "interface"),
    ("wsgi", "interface"),
    ("bind", "host"),
    ("bind", "port"),
    ("demo", "app"),
    ("demo", "factory"),
)


class _Given(NamedTuple):
    """One raw value and where it stands: `label` for errors, `source` for --print-config."""

    raw: object
    label: str
    source: str


_Layer = dict[str, _Given]


def load(
    asked: Mapping[str, object],
    environ: Mapping[str, str],
    directory: Path,
    *,
    from_python: bool = False,
) -> Settings:
    """Read all sources; `asked` is the strongest one, option names to raw values.

    `directory` is the current one. Raises UsageError for anything that is not right.
    """
    said = _asked(asked, "run" if from_python else "")
    variables: dict[str, str] = {}
    places: Mapping[str, str] = {}
    strongest = [_environment(environ, {}), said]
    if (path := _env_file(strongest, directory)) is not None:
        from bare_serve.config import env_file  # few have one

        found = env_file.read(path, environ)
        variables = {name: each.text for name, each in found.items()}
        in_file = {name: f"{path}, line {each.line}: " for name, each in found.items()}
        places = {name: place for name, place in in_file.items() if name not in environ}
        environ = {**variables, **environ}
    layers = [_platform(environ, places), _environment(environ, places), said]
    settings = _complete([*_files(layers, directory), *layers], variables, directory)
    if path is None or settings.env_file is not None:
        return settings
    places = {**settings.sources, "env_file": "default with --dev"}
    return replace(settings, env_file=str(path), sources=MappingProxyType(places))


def _env_file(layers: list[_Layer], directory: Path) -> Path | None:
    """Return the file of variables to read, if one is asked for or --dev finds one."""
    if (given := _named(layers, "env_file")) is not None:
        return directory / str(given.raw)
    dev = _named(layers, "dev")
    if dev is None or not kinds.read(BY_NAME["dev"].kind, dev.raw, dev.label):
        return None
    top = _named(layers, "app_dir")
    inside = directory / str(top.raw) if top is not None else directory
    found = [each / ENV_FILE for each in (inside, directory)]
    return next((each for each in found if each.is_file()), None)


def of_arguments(asked: Mapping[str, object], directory: Path, caller: str) -> Settings:
    """Return settings that no file and no variable has a say in, for a server inside a program.

    `caller` is what the arguments are given to, for errors. Raises UsageError.
    """
    return _complete([_asked(asked, caller)], {}, directory)


def _complete(layers: list[_Layer], variables: Mapping[str, str], directory: Path) -> Settings:
    """Settle the layers, each stronger than the one before it."""
    merged: dict[str, tuple[Any, str]] = {}
    for layer in layers:
        _merge(merged, _settle(layer))
    result = {name: value for name, (value, _) in merged.items()}
    sources = {name: source for name, (_, source) in merged.items()}
    if sources.get("port") == "environment PORT" and "host" not in result:
        result["host"], sources["host"] = "0.0.0.0", "default with PORT"
    for switch, values in IMPLIED.items():
        if result.get(switch):
            for name in values.keys() - result.keys():
                result[name], sources[name] = values[name], f"default with --{switch}"
    result.setdefault("app_dir", directory)
    return Settings(
        **result, sources=MappingProxyType(sources), variables=MappingProxyType(variables)
    )


def current_directory() -> Path:
    """For `load`; UsageError if it has been removed."""
    try:
        return Path.cwd()
    except OSError as error:
        raise UsageError(f"cannot tell the current directory: {error.strerror}") from None


def _platform(environ: Mapping[str, str], places: Mapping[str, str]) -> _Layer:
    return {
        option.name: _variable(name, environ, places)
        for option in OPTIONS
        if (name := option.platform_variable) and environ.get(name)
    }


def _variable(name: str, environ: Mapping[str, str], places: Mapping[str, str]) -> _Given:
    """`places` says where a variable stands that comes from --env-file."""
    source = "env-file" if name in places else "environment"
    return _Given(environ[name], f"{places.get(name, '')}{name}", f"{source} {name}")


def _environment(environ: Mapping[str, str], places: Mapping[str, str]) -> _Layer:
    known = {option.variable: option.name for option in OPTIONS}
    layer = {}
    unknown = []
    for name in sorted(environ):
        if name.startswith(PREFIX):
            if name not in known:
                unknown.append((places.get(name, ""), name, environ[name]))
                continue
            # Compose files and CI set variables to nothing where others would leave them out.
            if environ[name]:
                layer[known[name]] = _variable(name, environ, places)
    if unknown:
        _refuse_service_links(environ)
        from bare_serve.config import foreign_keys  # few have some

        raise UsageError(foreign_keys.answer_variables(unknown, known))
    return layer


def _refuse_service_links(environ: Mapping[str, str]) -> None:
    """Refuse variables that Kubernetes sets for a Service whose name is ours."""
    for name in environ:
        if name.startswith(PREFIX) and name.endswith(_LINK):
            service = name.removesuffix(_LINK).lower().replace("_", "-")
            raise UsageError(
                f"{name} and its like were set by Kubernetes for a Service named {service}, and "
                "are no settings; set enableServiceLinks: false for the pod, or rename the Service"
            )


def _asked(asked: Mapping[str, object], caller: str) -> _Layer:
    """`caller`: the function that the options are arguments of; nothing for the command line."""
    layer = {}
    for name, raw in asked.items():
        if name not in BY_NAME:
            raise UsageError(f"{caller or 'run'}() has no option {name}{nearest(name, BY_NAME)}")
        label = f"{caller}({name}=...)" if caller else BY_NAME[name].flag
        if name == "app":
            label = f"target {raw!r}"
        layer[name] = _Given(raw, label, f"{caller}()" if caller else "command line")
    return layer


def _files(others: list[_Layer], directory: Path) -> list[_Layer]:
    """Return the file asked for, else those of the application's or the current directory."""
    places = [directory]
    for layer in others:
        if given := layer.get("app_dir"):
            places.insert(0, directory / kinds.read(kinds.DIRECTORY, given.raw, given.label))
    layers = [_first(places, PROJECT_FILE)]
    named = _named(others, "config")
    if named is None:
        layers.append(_first(places, OWN_FILE))
    else:
        path = directory / str(named.raw)
        if path.suffix == ".py":
            raise UsageError(
                f"{named.label}: {path} is Python, and settings are TOML: bare-serve --migrate "
                f"{named.raw} makes a {OWN_FILE} of it, and functions go to --hooks"
            )
        found = _read_file(path)
        if found is None:
            raise UsageError(f"{named.label}: there is no file {path}")
        layers.append(found)
    return layers


def _named(layers: list[_Layer], name: str) -> _Given | None:
    return next((layer[name] for layer in reversed(layers) if name in layer), None)


def _first(places: list[Path], name: str) -> _Layer:
    for place in places:
        found = _read_file(place / name)
        if found is not None:
            return found
    return {}


def _read_file(path: Path) -> _Layer | None:
    """Return what a file says; None if there is no such file."""
    try:
        text = path.read_text(encoding="utf-8").removeprefix("\ufeff")  # as editors may leave it
        if path.name == PROJECT_FILE and not re.search(r"bare-serve|tool\.bare_serve", text):
            return {}  # of a project with plans of its own; most have such a file
        import tomllib  # 4 ms, and a large file takes as much again

        content = tomllib.loads(text)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from None
    if path.name != PROJECT_FILE:
        return _section(content, path, text, "the file")
    tools = content.get("tool")
    if not isinstance(tools, dict):
        return {}
    if "bare_serve" in tools:
        place = _place(path, text, "tool.bare_serve", "")
        raise UsageError(f"{place}: [tool.bare_serve] is not read; write [tool.bare-serve]")
    section = tools.get("bare-serve", {})
    if not isinstance(section, dict):
        raise UsageError(f"{path}: tool.bare-serve is not a table; write [tool.bare-serve]")
    return _section(section, path, text, "[tool.bare-serve]")


def _section(section: Mapping[str, Any], path: Path, text: str, where: str) -> _Layer:
    known = {option.key: option.name for option in OPTIONS if option.name not in _NOT_IN_FILES}
    layer: _Layer = {}
    unknown = []
    for key, raw in section.items():
        place = _place(path, text, key, where)
        name = known.get(key.replace("_", "-"))
        if name is None:
            if isinstance(raw, dict) and key in ("tool", "bare-serve"):
                raise UsageError(f"{place}: leave out the table; here keys stand by themselves")
            unknown.append((place, key, raw))
            continue
        if name in layer:
            raise UsageError(f"{place}: {BY_NAME[name].key} is there already, spelled otherwise")
        if name == "app_dir" and isinstance(raw, str):
            raw = str(path.parent / raw)
        layer[name] = _Given(raw, f"{place}: {key}", f"file {path}")
    if unknown:
        from bare_serve.config import foreign_keys  # few have some

        raise UsageError(foreign_keys.answer(where, unknown, known))
    return layer


def _place(path: Path, text: str, key: str, where: str) -> str:
    """Return the file, and the line of the key or of its table if it can be found."""
    begin = text.find(where) if where.startswith("[") else 0
    match = re.compile(rf"^[ \t]*\[?[\"']?{re.escape(key)}[\"']?[ \t]*[=.\]]", re.MULTILINE).search(
        text, max(begin, 0)
    )
    return f"{path}, line {text.count(chr(10), 0, match.start()) + 1}" if match else str(path)


def _settle(layer: _Layer) -> dict[str, tuple[Any, str]]:
    """Read the values of one source, refuse contradictions, spell out what is short."""
    read = {
        name: kinds.read(BY_NAME[name].kind, given.raw, given.label)
        for name, given in layer.items()
    }
    # A switch that is off rivals nothing.
    present = {name for name, value in read.items() if value is not False}
    for one, other in _rivals(read):
        if one in present and other in present:
            short = BY_NAME[one].stands_for
            if short is None or short != (other, read[other]):
                both = f"{layer[one].label} and {layer[other].label}"
                raise UsageError(f"{both} contradict each other; give only one of them")
    if read.get("lifespan") == "on" and "wsgi" in (
        read.get("interface"),
        read.get("wsgi") and "wsgi",
    ):
        raise UsageError(
            f"{layer['lifespan'].label} on is for ASGI applications, but WSGI is asked for"
        )
    settled = {}
    for name, value in read.items():
        short = BY_NAME[name].stands_for
        if short is None:
            settled[name] = (value, layer[name].source)
        elif value:
            settled[short[0]] = (short[1], layer[name].source)
    return settled


def _rivals(values: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Return the pairs that contradict each other; a host without a port and a port do not."""
    if any(map(lacks_port, values.get("bind", ()))):
        return [pair for pair in _RIVALS if pair != ("bind", "port")]
    return _RIVALS


def _merge(merged: dict[str, tuple[Any, str]], stronger: dict[str, tuple[Any, str]]) -> None:
    together = {name: value for name, (value, _) in (merged | stronger).items()}
    for one, other in _rivals(together):
        if one in stronger and stronger[one][0] is not False:
            merged.pop(other, None)
        if other in stronger and stronger[other][0] is not False:
            merged.pop(one, None)
    if "app" in stronger:
        merged.pop("factory", None)  # it described the target that is replaced
    merged.update(stronger)
