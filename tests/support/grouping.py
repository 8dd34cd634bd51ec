"""Tests that share what is dear to start run in one process: `--dist loadgroup` of pytest-xdist.

What is shared is a fixture of a module's scope, most often a server. Without groups each process
that gets one of its tests would start it again. A test may name its group by the mark
`xdist_group`; one that uses such a fixture has that of the fixture, and of its parameter.

xdist sends tests to one process whose ids end with the same `@group`, and writes that end itself;
but pytest from 9.2 on keeps an id elsewhere, so what xdist 3.8 writes has no effect there.
"""

from __future__ import annotations

from typing import Any

import pytest


def group_of(item: pytest.Item) -> str:
    """The group of a test; nothing if it can run anywhere."""
    if named := sorted({str(mark.args[0]) for mark in item.iter_markers("xdist_group")}):
        return "_".join(named)
    known: Any = getattr(item, "_fixtureinfo", None)
    if known is None:
        return ""
    defined = known.name2fixturedefs
    shared = [name for name, found in sorted(defined.items()) if found[-1].scope == "module"]
    indices: Any = getattr(getattr(item, "callspec", None), "indices", {})
    which = "-".join(str(indices[name]) for name in shared if name in indices)
    return f"{item.nodeid.partition('::')[0]}-{which}" if shared else ""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Write each test's group behind its id, where this process runs for another one."""
    if not getattr(config.option, "loadgroup", False):
        return
    for item in items:
        group = group_of(item)
        if group and not item.nodeid.endswith(f"@{group}"):
            _rename(item, f"{item.nodeid}@{group}")


def _rename(item: Any, nodeid: str) -> None:
    item._nodeid = nodeid
    if hasattr(item, "_id"):
        item._id = type(item._id).parse(nodeid)
    assert item.nodeid == nodeid
