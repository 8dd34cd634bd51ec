"""The names that users import from `bare_serve.testing`."""

from __future__ import annotations

import bare_serve.testing


def test_each_name_is_there() -> None:
    names = bare_serve.testing.__all__
    assert {"lint", "SpecError", "SpecAdvice"} <= {*names}
    assert all(getattr(bare_serve.testing, name).__name__ == name for name in names)
