"""`python -m bare_serve.clauses`: prints docs/clauses.md."""

from __future__ import annotations

import sys

from bare_serve.clauses.page import page

sys.stdout.write(page())
