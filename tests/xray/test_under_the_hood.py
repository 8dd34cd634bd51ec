"""The x-rays that docs/under-the-hood.md tells from are what servers show."""

from __future__ import annotations

from pathlib import Path

from tests.xray.test_golden import HERE, masked
from tools.under_the_hood import FENCED, USED


def test_its_blocks_are_those_of_servers(root: Path) -> None:
    golden = masked(
        "".join((HERE / "golden" / "blocks" / f"{name}.txt").read_text("utf-8") for name in USED)
    )
    text = (root / "docs" / "under-the-hood.md").read_text(encoding="utf-8")
    told = FENCED.findall(text)
    assert len(told) >= 6
    remedy = "run: python -m tools.under_the_hood"
    assert [block for block in told if masked(block) not in golden] == [], remedy
