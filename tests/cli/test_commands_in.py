"""Commands in the files that people start servers by: which one, whole, and nothing else."""

from __future__ import annotations

import shlex
import tomllib
from pathlib import Path

import pytest

from bare_serve.cli import commands_in
from bare_serve.cli.migrate import migrate

SHELL = {
    "RUN pip install gunicorn\nCMD gunicorn a:b": "gunicorn a:b",
    "RUN poetry add gunicorn\nCMD gunicorn a:b": "gunicorn a:b",
    'LABEL run="gunicorn x"\nCMD ["sh", "-c", "exec gunicorn -w 4 a:b"]': "gunicorn -w 4 a:b",
    'ENTRYPOINT ["gunicorn", "-w", "2"]\nCMD ["a:b"]': "gunicorn -w 2 a:b",
    'CMD ["gunicorn", "old:app"]\nFROM x\nCMD ["gunicorn", "a:b"]': "gunicorn a:b",
    'CMD ["gunicorn", \\\n  "a:b"]': "gunicorn a:b",
    "[Unit]\nDescription=shop by gunicorn for all\nExecStart=-/bin/gunicorn \\\n  -w 3 a:b":
        "/bin/gunicorn -w 3 a:b",
    "[Service]\r\nSyslogIdentifier=gunicorn\r\nExecStart=/bin/gunicorn \\\r\n -w 3 a:b\r\n":
        "/bin/gunicorn -w 3 a:b",
    "command=/bin/gunicorn a:b\ndirectory=/srv": "command=/bin/gunicorn a:b",
    "exec gunicorn a:b >> /var/log/x 2>&1": "gunicorn a:b",
    "gunicorn a:b & wait": "gunicorn a:b",
    "alembic upgrade head && gunicorn a:b; echo": "alembic upgrade head && gunicorn a:b",
    "gunicorn a:b --access-logformat '<%(h)s>' | cat":
        "gunicorn a:b --access-logformat '<%(h)s>'",
    "# gunicorn old\nweb: gunicorn a:b": "gunicorn a:b",
    "web: gunicorn": "gunicorn",
}  # fmt: skip
YAML = {
    "command: gunicorn a:b": "gunicorn a:b",
    "command: 'gunicorn a:b'  # it": "gunicorn a:b",
    "container_name: gunicorn\ndepends_on:\n  - gunicorn\ncommand: gunicorn a:b": "gunicorn a:b",
    "command:\n  - gunicorn\n  - -b\n  - ':80'\n  # so\n  - a:b": "gunicorn -b :80 a:b",
    "command:\n- gunicorn\n- a:b\nother: x": "gunicorn a:b",
    "command: >-\n  uvicorn a:b\n  --port 81\nother: x": "uvicorn a:b --port 81",
    "command: |\n  alembic upgrade head\n  uvicorn a:b --port 81": "uvicorn a:b --port 81",
    "command: gunicorn a:b\n  --workers 3\nother: x": "gunicorn a:b --workers 3",
    "command: [gunicorn, -w, 4, 'a:b']": "gunicorn -w 4 a:b",
    "command: bash -c \"true && gunicorn a:b > /dev/null\"": "true && gunicorn a:b",
    "entrypoint: [gunicorn]\ncommand: -w 2 a:b": "gunicorn -w 2 a:b",
    "- name: x\n  command: [\"gunicorn\"]\n  args: [\"a:b\"]\n- name: y\n  args: [\"z\"]":
        "gunicorn a:b",
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "command", "is_yaml"),
    [
        *((text, command, False) for text, command in SHELL.items()),
        *((text, command, True) for text, command in YAML.items()),
    ],
)
def test_a_command_is_found_whole(text: str, command: str, is_yaml: bool) -> None:
    assert [*map(shlex.join, commands_in.find(text, is_yaml))] == [shlex.join(shlex.split(command))]


@pytest.mark.parametrize(
    "text", ["", "pip install gunicorn", "command: [gunicorn", "'gunicorn a:b"]
)
@pytest.mark.parametrize("is_yaml", [True, False])
def test_there_is_none(text: str, is_yaml: bool) -> None:
    assert commands_in.find(text, is_yaml) == []


def test_a_second_command_is_told(tmp_path: Path) -> None:
    path = tmp_path / "Procfile"
    path.write_text("web: gunicorn a:b\nws: uvicorn c:d --port 81\n")
    text = migrate([str(path)], {})
    assert tomllib.loads(text) == {"app": "a:b"}
    assert "another command in Procfile, which is not in here: uvicorn c:d --port 81" in text


def test_a_file_of_variables_alone(tmp_path: Path) -> None:
    path = tmp_path / "deploy.yaml"
    path.write_text(
        "env:\n- name: GUNICORN_CMD_ARGS\n  value: '--threads 4'\n"
        '- name: UVICORN_PORT\n  value: "81"\n'
    )
    assert tomllib.loads(migrate([str(path)], {})) == {"threads": 4, "port": 81}


def test_a_file_of_settings_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = tmp_path / "Procfile"
    path.write_text("web: gunicorn -c conf/gunicorn.py a:b\n")
    text = migrate([str(path)], {})
    assert f"-c conf/gunicorn.py: there is no {tmp_path}/conf/gunicorn.py" in text
    assert "BARE_SERVE_CONFIG" not in text
