"""A file server is one line of an application: `bare-serve examples/bare_files.py:app`.

Conditional requests, ranges and compressed twins are the static folder's work, and no path leads
out of the folder. Without an application the same is `bare-serve --static /=examples/site`.
"""

from pathlib import Path

from bare_serve.bare import Bare
from bare_serve.middleware.static import Static

app = Bare()
app.mount("/", Static("/", Path(__file__).with_name("site"), index=True))
