"""What the ops process has in it: no more than it needs, and nothing of the application."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.ops.support import has_process, memory_of, open_descriptors, with_ops

ALLOWED = {
    *("bare_serve", "bare_serve.version", "bare_serve.errors"),
    *("bare_serve.http", "bare_serve.http1", "bare_serve.ops", "bare_serve.counts"),
}
"""Modules, and folders all of whose modules are."""
NEVER = {
    *("click", "logging", "asyncio", "ssl", "_ssl", "hashlib", "_hashlib", "threading", "pathlib"),
    *("inspect", "dataclasses", "subprocess", "tempfile", "urllib", "email", "httptools", "uvloop"),
}
LIST = """
import sys
sys.argv = ["x"]
sys.path.append({root!r})
try:
    import bare_serve.ops.__main__
finally:
    print(*sys.modules)
"""


def test_nothing_is_imported_that_is_not_needed(root: Path) -> None:
    command = [sys.executable, "-I", "-S", "-c", LIST.format(root=str(root))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = {*done.stdout.split()}
    ours = {name for name in found if name.startswith("bare_serve")}
    allowed = {
        name
        for name in ours
        if name in ALLOWED or name.rpartition(".")[0] in ALLOWED - {"bare_serve"}
    }
    assert ours - allowed == set()
    assert found & NEVER == set()
    assert len(found) < 125, sorted(found)


def test_it_is_small_and_has_no_more_than_it_was_given() -> None:
    secret = {"DATABASE_PASSWORD": "s3cret"}
    with with_ops("--preload", env=secret) as ops:
        ops.all_serve()
        pid = has_process(ops)
        ops.ask("/live")
        assert memory_of(pid, "Pss_Anon") <= 8 * 1024
        assert b"s3cret" not in Path(f"/proc/{pid}/environ").read_bytes()
        # 0 to 2, the master, the listener, and that of the mapping.
        assert len(open_descriptors(pid)) <= 9
        maps = Path(f"/proc/{pid}/maps").read_text()
        assert "site-packages" not in maps
        assert "libssl" not in maps


def test_by_hand_it_says_what_it_is() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bare_serve.ops"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "--ops ADDR" in done.stderr
    assert "Traceback" not in done.stderr
