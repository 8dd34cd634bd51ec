"""Starts bare-serve without its compute gate, to show what the gate gives and takes: calls that
compute run side by side. Usage: serve_ungated.py and the arguments of bare-serve.
"""

from __future__ import annotations

from bare_serve.__main__ import main
from bare_serve.workers.wsgi.compute_gate import ComputeGate


def _take_no_gate(_: ComputeGate) -> bool:
    return False


if __name__ == "__main__":
    ComputeGate._take_gate = _take_no_gate  # type: ignore[method-assign]
    main()
