"""The files that settings come from: bare-serve.toml, --config, --env-file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bare_serve.config import sources
from bare_serve.errors import UsageError
from tests.support import RawClient, run_cli, serve


def put(directory: Path, **files: str) -> None:
    names = {"project": "pyproject.toml", "own": "bare-serve.toml"}
    for name, text in files.items():
        path = directory / names.get(name, name)
        path.write_text("[tool.bare-serve]\n" + text if name == "project" else text)


def test_our_own_file_is_stronger_than_the_project_s(tmp_path: Path) -> None:
    put(tmp_path, project="workers = 2\nthreads = 3", own="workers = 4")
    settings = sources.load({}, {}, tmp_path)
    assert (settings.workers, settings.threads) == (4, 3)
    assert settings.sources["workers"] == f"file {tmp_path / 'bare-serve.toml'}"
    assert sources.load({}, {"BARE_SERVE_WORKERS": "5"}, tmp_path).workers == 5


@pytest.mark.parametrize("how", ["command line", "environment"])
def test_a_file_may_be_named(how: str, tmp_path: Path) -> None:
    put(tmp_path, own="workers = 4\nthreads = 5", other="workers = 6")
    asked = {"config": "other"} if how == "command line" else {}
    env = {} if asked else {"BARE_SERVE_CONFIG": "other"}
    settings = sources.load(asked, env, tmp_path)
    assert (settings.workers, settings.threads) == (6, 8), "in the place of bare-serve.toml"


MISTAKES: list[tuple[str, dict[str, object], str]] = [
    ("", {"config": "none"}, "--config: there is no file {dir}/none"),
    ("\nworker = 2", {}, "{dir}/bare-serve.toml, line 2: the file has no key 'worker'; did you"),
    ('"workers" = "x"', {}, "{dir}/bare-serve.toml, line 1: workers: 'x' is not a whole number"),
    ("config = 'x'", {}, "config is not said in a file; use --config"),
    ("\n[tool.bare-serve]\nworkers = 2", {}, "{dir}/bare-serve.toml, line 2: leave out the table;"),
    ("[bare-serve]\nworkers = 2", {}, "{dir}/bare-serve.toml, line 1: leave out the table; here"),
    ("[workers]", {}, "{dir}/bare-serve.toml, line 1: workers: {{}} is not a whole number"),
    ("", {"bind": ("a:1,b:2",)}, "--bind: Bad address 'a:1,b:2': it is one address; repeat"),
    ("", {"env_file": "none"}, "--env-file: cannot read {dir}/none: No such file"),
    ("", {"env_file": "bad.env"}, "--env-file: {dir}/bad.env, line 3: not NAME=value"),
    ("", {"env_file": "typo.env"}, "unknown environment variable BARE_SERVE_WORKER; did you"),
]


@pytest.mark.parametrize("case", MISTAKES, ids=str)
def test_a_mistake_is_told_with_its_place(case: Any, tmp_path: Path) -> None:
    own, asked, message = case
    put(tmp_path, own=own)
    (tmp_path / "bad.env").write_text("# fine\nA=1\nnonsense\n")
    (tmp_path / "typo.env").write_text("BARE_SERVE_WORKER=1\n")
    with pytest.raises(UsageError, match=re.escape(message.format(dir=tmp_path))):
        sources.load(asked, {}, tmp_path)


def test_a_table_of_pyproject_that_is_nearly_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text("[project]\nname = 'x'\n[tool.bare_serve]\nworkers = 2\n")
    message = f"{path}, line 3: [tool.bare_serve] is not read; write [tool.bare-serve]"
    with pytest.raises(UsageError, match=re.escape(message)):
        sources.load({}, {}, tmp_path)
    path.write_text("tool = 'bare-serve'\n")
    assert sources.load({}, {}, tmp_path).workers == 1
    path.write_text("[tool.other]\npackages = ['bare_serve']  # tool.bare_serve\n")
    assert sources.load({}, {}, tmp_path).workers == 1


@pytest.mark.parametrize("service", ["bare-serve", "bare-serve-shop"])
def test_the_variables_that_kubernetes_sets_for_a_service(service: str, tmp_path: Path) -> None:
    name = service.replace("-", "_").upper()
    links = {f"{name}_PORT": "tcp://10.0.0.1:80", f"{name}_PORT_80_TCP": "tcp://10.0.0.1:80"}
    links |= {f"{name}_SERVICE_HOST": "10.0.0.1", f"{name}_SERVICE_PORT": "80"}
    message = (
        f"{name}_SERVICE_HOST and its like were set by Kubernetes for a Service named {service},"
    )
    with pytest.raises(UsageError, match=f"{message} .* enableServiceLinks: false"):
        sources.load({}, links, tmp_path)


def test_the_environment_is_stronger_than_the_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("BARE_SERVE_WORKERS=3\nBARE_SERVE_THREADS=4\nOTHER=x\n")
    settings = sources.load({"env_file": ".env"}, {"BARE_SERVE_THREADS": "5"}, tmp_path)
    assert (settings.workers, settings.threads) == (3, 5)
    assert settings.variables["OTHER"] == "x"


def test_the_application_sees_the_variables_of_the_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GREETING=hello from the file\n")
    source = """
import os
def app(environ, start_response):
    start_response("200 OK", [])
    return [os.environ["GREETING"].encode()]
"""
    with (
        serve("--env-file", ".env", source=source, cwd=tmp_path) as server,
        RawClient(server.address) as client,
    ):
        assert client.request().body == b"hello from the file"


def test_the_settings_can_be_shown_as_json(tmp_path: Path) -> None:
    put(tmp_path, own="workers = 4")
    done = run_cli("--print-config", "--log-format", "json", cwd=tmp_path)
    shown = json.loads(done.stdout)
    source = f"file {tmp_path / 'bare-serve.toml'}"
    assert shown["workers"] == {"value": 4, "source": source}
    assert shown["access-log"] == {"value": "-", "source": "default"}


@pytest.mark.parametrize(("text", "value"), [("off", "off"), ("0", 0.0), ("5s", 5.0)])
def test_each_keep_alive_is_json(text: str, value: object, tmp_path: Path) -> None:
    options = ("--timeout-keep-alive", text, "--log-format", "json")
    shown = json.loads(run_cli("--print-config", *options, cwd=tmp_path).stdout, parse_constant=int)
    assert shown["timeout-keep-alive"]["value"] == value


def test_arguments_alone(tmp_path: Path) -> None:
    """For a server inside a program: no file and no variable has a say."""
    (tmp_path / "bare-serve.toml").write_text("port = 1\n")
    settings = sources.of_arguments({"threads": 3}, tmp_path, "Server")
    assert (settings.port, settings.threads, settings.app_dir) == (8000, 3, tmp_path)
    assert dict(settings.sources) == {"threads": "Server()"}
    with pytest.raises(UsageError, match=r"^Server\(\) has no option thread; did you mean threads"):
        sources.of_arguments({"thread": 3}, tmp_path, "Server")
    with pytest.raises(UsageError, match=r"^Server\(bind=\.\.\.\) and Server\(port=\.\.\.\) contr"):
        sources.of_arguments({"bind": ":1", "port": 1}, tmp_path, "Server")
