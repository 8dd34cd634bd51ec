"""From what the user typed to an application that can be called: the interface of this folder.

`naming` reads a target's text, `find` looks for one when none was typed (by reading files,
never by importing them: it runs in the master), `load` imports it in a worker, `detect`
decides between WSGI and ASGI without calling it. Failures are UsageError (the words are
wrong) or AppLoadError (the words are fine, the application is not).
"""

from bare_serve.app.candidates import Found
from bare_serve.app.detect import Detection, Interface, detect
from bare_serve.app.find import find_target, may_have_application
from bare_serve.app.load import LoadedApp, load, load_object, put_on_path
from bare_serve.app.naming import Target, check_target

__all__ = [
    "Detection",
    "Found",
    "Interface",
    "LoadedApp",
    "Target",
    "check_target",
    "detect",
    "find_target",
    "load",
    "load_object",
    "may_have_application",
    "put_on_path",
]
