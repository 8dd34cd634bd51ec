"""What --dev and --reload stand for, what is stronger, and which file --dev reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bare_serve.config import sources
from bare_serve.config.settings import Settings
from bare_serve.errors import UsageError
from bare_serve.server.compose import check_development


def load(asked: dict[str, Any], directory: Path, **environ: str) -> Settings:
    return sources.load(asked, environ, directory)


def test_dev_is_short_for_others(tmp_path: Path) -> None:
    settings = load({"dev": True}, tmp_path)
    assert (settings.reload, settings.live, settings.error_page) == (True, True, True)
    assert (settings.workers, settings.timeout_worker, settings.timeout_boot) == (1, 0, 0)
    assert settings.timeout_graceful_shutdown == 1
    assert settings.env_file is None
    assert settings.sources["live"] == settings.sources["timeout_boot"] == "default with --dev"
    assert settings.sources["timeout_graceful_shutdown"] == "default with --reload"


def test_reload_alone_only_shortens_the_grace(tmp_path: Path) -> None:
    settings = load({"reload": True}, tmp_path)
    assert (settings.timeout_graceful_shutdown, settings.live) == (1, False)
    assert settings.timeout_worker == 30
    assert load({}, tmp_path).timeout_graceful_shutdown == 30


def test_any_source_is_stronger_than_what_dev_implies(tmp_path: Path) -> None:
    (tmp_path / "bare-serve.toml").write_text("workers = 3\nlive = false\n")
    settings = load({"dev": True}, tmp_path, BARE_SERVE_TIMEOUT_WORKER="5")
    assert (settings.workers, settings.live, settings.timeout_worker) == (3, False, 5)
    settings = load({"dev": True, "timeout_graceful_shutdown": "7"}, tmp_path)
    assert settings.timeout_graceful_shutdown == 7


@pytest.mark.parametrize(("inside", "wanted"), [(False, ".env"), (True, "app/.env")])
def test_dev_reads_the_env_file(inside: bool, wanted: str, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / ".env").write_text("WHO=outer\n")
    (tmp_path / "app" / ".env").write_text("WHO=inner\nBARE_SERVE_THREADS=3\n")
    asked = {"dev": True, "app_dir": str(tmp_path / "app")} if inside else {"dev": True}
    settings = load(asked, tmp_path)
    assert settings.env_file == str(tmp_path / wanted)
    assert settings.variables["WHO"] == ("inner" if inside else "outer")
    assert settings.threads == (3 if inside else 8)
    assert load({"reload": True}, tmp_path).env_file is None


def test_a_file_of_settings_cannot_switch_dev_on(tmp_path: Path) -> None:
    (tmp_path / "bare-serve.toml").write_text("dev = true\n")
    with pytest.raises(UsageError, match="dev is not said in a file; use --dev"):
        load({}, tmp_path)


def test_the_other_env_file_wins(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WHO=default\n")
    (tmp_path / "mine").write_text("WHO=mine\n")
    settings = load({"dev": True, "env_file": "mine"}, tmp_path)
    assert (settings.env_file, settings.variables["WHO"]) == ("mine", "mine")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"live": True}, "--live means nothing without --reload; give both, or --dev"),
        ({"reload_include": ("*.html",)}, "--reload-include means nothing without"),
        ({"reload_dir": (".",)}, "--reload-dir means nothing without"),
        ({"reload": True, "workers": 0}, "--workers 0 there is none to replace; use --workers 1"),
    ],
)
def test_what_makes_no_sense_together_is_refused(
    asked: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        check_development(load(asked, tmp_path))
