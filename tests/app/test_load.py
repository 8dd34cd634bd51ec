"""Loading a target: what is taken, and one clear sentence for each way it can fail.

Modules are really written, really imported, and forgotten again.
"""

from __future__ import annotations

import os
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bare_serve.app import LoadedApp, check_target, load, load_object
from bare_serve.errors import AppLoadError, UsageError

WSGI = "def {}(environ, start_response): raise SystemExit\n"
ASGI = "async def {}(scope, receive, send): raise SystemExit\n"

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def clean_imports() -> Iterator[None]:
    path = sys.path[:]
    yield
    sys.path[:] = path
    for name in list(sys.modules):
        if name.startswith(("t_", "closed", "bare_serve_app_")):
            del sys.modules[name]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """write("pkg/mod.py", text, ...) below the test's own directory."""

    def write_files(*pairs: str) -> Path:
        for name, text in zip(pairs[::2], pairs[1::2], strict=True):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        return tmp_path

    return write_files


@contextmanager
def nobody() -> Iterator[None]:
    """Without root's right to read everything."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def fails(target: str, directory: Path, factory: bool = False) -> AppLoadError:
    with pytest.raises(AppLoadError) as caught:
        load(target, app_dir=directory, factory=factory)
    assert caught.value.exit_code == 3
    return caught.value


# What is taken


def test_module_and_attribute(write: Write) -> None:
    directory = write("t_app.py", WSGI.format("hello"))
    loaded = load("t_app:hello", app_dir=directory)
    assert loaded == LoadedApp(
        sys.modules["t_app"].hello, "wsgi", "t_app:hello", "signature (environ, start_response)"
    )
    assert sys.path[0] == str(directory.resolve())


def test_app_dir_is_put_on_the_path_once(write: Write) -> None:
    directory = write("t_app.py", WSGI.format("hello"))
    before = len(sys.path)
    load("t_app:hello", app_dir=directory)
    load("t_app:hello", app_dir=directory)
    assert len(sys.path) == before + 1


def test_app_dir_comes_before_what_is_on_the_path_already(write: Write, tmp_path: Path) -> None:
    write("a/t_app.py", WSGI.format("app"), "b/t_app.py", ASGI.format("app"))
    sys.path[:0] = [str(tmp_path / "b"), str(tmp_path / "a")]
    assert load("t_app:app", app_dir=tmp_path / "a").interface == "wsgi"


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("wsgi = asgi = app = application = lambda e, s: 1", "application"),
        ("wsgi = asgi = app = lambda e, s: 1", "app"),
        ("wsgi = asgi = lambda e, s: 1", "asgi"),
        ("wsgi = lambda e, s: 1", "wsgi"),
        ("application = None; app = lambda e, s: 1", "app"),
        ("import os as application; app = lambda e, s: 1", "app"),
    ],
)
def test_module_alone(write: Write, text: str, taken: str) -> None:
    assert load("t_app", app_dir=write("t_app.py", text)).target == f"t_app:{taken}"


@pytest.mark.parametrize(
    ("interface", "taken"), [("auto", "application"), ("asgi", "application"), ("wsgi", "wsgi")]
)
def test_module_alone_steered_by_the_interface(write: Write, interface: str, taken: str) -> None:
    text = ASGI.format("application") + "def app(): ...\n" + WSGI.format("wsgi")
    loaded = load("t_app", app_dir=write("t_app.py", text), interface=interface)
    assert loaded.target == f"t_app:{taken}"


def test_module_alone_when_nothing_is_as_wished(write: Write) -> None:
    directory = write("t_app.py", ASGI.format("app"))
    loaded = load("t_app", app_dir=directory, interface="wsgi")
    assert (loaded.target, loaded.interface) == ("t_app:app", "wsgi")


def test_nested_module_and_nested_attribute(write: Write) -> None:
    directory = write(
        "t_pkg/__init__.py", "", "t_pkg/mod.py", "class obj:\n    app = staticmethod(len)\n"
    )
    loaded = load("t_pkg.mod:obj.app", app_dir=directory, interface="wsgi")
    assert (loaded.app, loaded.target) == (len, "t_pkg.mod:obj.app")


@pytest.mark.parametrize(
    ("interface", "how"),
    [
        ("wsgi", "asked by --wsgi"),
        ("asgi", "asked by --asgi"),
        ("asgi2", "asked by --interface asgi2"),
    ],
)
def test_flags_always_win(write: Write, interface: str, how: str) -> None:
    directory = write("t_app.py", "def app(x): ...\n")
    loaded = load("t_app:app", app_dir=directory, interface=interface)
    assert (loaded.interface, loaded.how) == (interface, how)


def test_file(write: Write) -> None:
    directory = write(
        "code/t_file.py", f"import t_neighbour\n{WSGI.format('app')}", "code/t_neighbour.py", ""
    )
    loaded = load("code/t_file.py:app", app_dir=directory)
    assert loaded.target == "code/t_file.py:app"
    assert loaded.app.__module__ == "t_file"


def test_file_alone(write: Write) -> None:
    directory = write("code/t_file.py", ASGI.format("asgi"))
    assert load("code/t_file.py", app_dir=directory).target == "code/t_file.py:asgi"


def test_file_by_absolute_path(write: Write, tmp_path: Path) -> None:
    path = write("code/t_file.py", ASGI.format("asgi")) / "code" / "t_file.py"
    assert load(f"{path}:asgi", app_dir=Path.cwd()).interface == "asgi"


def test_file_from_the_current_directory(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("t_file.py", WSGI.format("app"), "elsewhere/x.py", "")
    monkeypatch.chdir(tmp_path)
    loaded = load("t_file.py:app", app_dir=tmp_path / "elsewhere")
    assert loaded.interface == "wsgi"


def test_file_in_a_package_may_import_relatively(write: Write) -> None:
    directory = write(
        *("t_pkg/__init__.py", "", "t_pkg/sub/__init__.py", "", "t_pkg/other.py", "x = 1"),
        *("t_pkg/sub/mod.py", f"from ..other import x\n{WSGI.format('app')}"),
    )
    loaded = load("t_pkg/sub/mod.py:app", app_dir=directory)
    assert loaded.app.__module__ == "t_pkg.sub.mod"
    assert load("t_pkg/sub/mod.py:app", app_dir=directory).app is loaded.app


def test_file_that_is_the_package(write: Write) -> None:
    directory = write("t_pkg/__init__.py", WSGI.format("app"))
    assert load("t_pkg/__init__.py:app", app_dir=directory).app.__module__ == "t_pkg"


@pytest.mark.parametrize("name", ["json.py", "t-file.py", "t.dotted.py", "__main__.py"])
def test_file_whose_name_is_taken_or_no_name(write: Write, name: str) -> None:
    module = sys.modules.get(name[:-3])
    directory = write(name, WSGI.format("app"))
    assert load(f"{name}:app", app_dir=directory).interface == "wsgi"
    assert sys.modules.get(name[:-3]) is module


def test_factory(write: Write) -> None:
    directory = write("t_app.py", "def make(debug=False): return lambda scope, receive, send: 1\n")
    loaded = load("t_app:make", app_dir=directory, factory=True)
    assert (loaded.interface, loaded.target) == ("asgi", "t_app:make")


@pytest.mark.parametrize("name", ["create_app", "make_app", "app"])
def test_factory_alone(write: Write, name: str) -> None:
    directory = write("t_app.py", f"def {name}(): return lambda environ, start: 1\n")
    loaded = load("t_app", app_dir=directory, factory=True, interface="wsgi")
    assert loaded.target == f"t_app:{name}"


def test_factory_without_a_signature() -> None:
    with pytest.raises(AppLoadError, match=r"^what the factory returned is not callable .*dict"):
        load_object(dict, factory=True)


def test_object_at_hand() -> None:
    def app(environ, start_response):
        raise SystemExit

    loaded = load_object(app)
    assert (loaded.app, loaded.interface, loaded.target) == (app, "wsgi", "the application")
    with pytest.raises(AppLoadError, match=r"^the application is not callable"):
        load_object(3)


# The target is wrong


@pytest.mark.parametrize("target", ["src/main:app", "./src/main.py:app", "src/main"])
def test_a_path_needs_no_ending(tmp_path: Path, target: str) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.py").write_text("def app(environ, start_response): ...\n")
    assert load(target, app_dir=tmp_path).interface == "wsgi"


def test_a_path_without_an_ending_that_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("")
    with pytest.raises(AppLoadError, match=r"There is no file .*man\.py; did you mean 'main\.py'"):
        load("./man:app", app_dir=tmp_path)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("", "write it as module:attribute"),
        (":app", "write it as module:attribute"),
        ("app:", "write it as module:attribute"),
        (":create_app()", "write it as module:attribute"),
        ("app:create_app(", "'create_app(' cannot be read as a call"),
        ("app:create_app('x", "'create_app('x' cannot be read as a call; write it as Python"),
        ("app:create_app(); app", "'create_app(); app' cannot be read as a call"),
        ("app:create_app(a b)", "'create_app(a b)' cannot be read as a call"),
        ("app:create_app(x=1, x=2)", "an argument is given twice"),
        ("app:create_app()()", "a factory is called once, by its name"),
        ("app:f().app", "a factory is called once, by its name"),
        ("app:create_app(prod)", "the argument prod is not a literal (text, a number, "),
        ("app:create_app(prod)", "did you mean 'prod', in quotes?"),
        ("app:create_app(open('x'))", "the argument open('x') is not a literal"),
        ("app:create_app(f'{1}')", "is not a literal"),
        ("app:create_app(mode=1+1)", "the argument 1 + 1 is not a literal"),
        ("app:create_app([[x]])", "the argument [[x]] is not a literal"),
        ("app:create_app(*'ab')", "is not a literal"),
        ("app:create_app(**{})", "write the arguments one by one, without **"),
        (f"app:create_app({'[' * 5000}{']' * 5000})", "cannot be read as a call"),
        ("app:my-app", "'my-app' is not the name of an attribute"),
        ("app:a..b", "'a..b' is not the name of an attribute"),
        ("./pkg/:app", "'./pkg/' is neither a file nor a module"),
        (".app:app", "'.app' is not the name of a module"),
        ("my app:app", "'my app' is not the name of a module"),
    ],
)
def test_malformed(tmp_path: Path, target: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(target, app_dir=tmp_path)
    assert f"'{target}' is not a target" in str(caught.value)
    assert words in str(caught.value)


FACTORY = """
class Made:
    def __init__(self, args, kwargs): self.said = args, kwargs
    def __call__(self, environ, start_response): ...
def create(*args, **kwargs): return Made(args, kwargs)
class kept:
    make = staticmethod(create)
def one(mode): return Made((mode,), {})
def broken(mode): 1 / 0
def nothing(mode): ...
async def late(mode): ...
three = 3
"""
CALLS: list[tuple[str, tuple[object, ...], dict[str, object]]] = [
    ("create()", (), {}),
    ("create('prod', debug=True)", ("prod",), {"debug": True}),
    ('create("a:b(c)", \'d\', )', ("a:b(c)", "d"), {}),
    ("create(1, -2.5, None, x={'a': [b'1', (2,)]})", (1, -2.5, None), {"x": {"a": [b"1", (2,)]}}),
    ("kept.make ( 'x' )", ("x",), {}),
    ("one('x')", ("x",), {}),
    ("one(mode='x')", ("x",), {}),
]  # fmt: skip


@pytest.mark.parametrize("factory", [False, True])
@pytest.mark.parametrize(("call", "args", "kwargs"), CALLS)
@pytest.mark.parametrize("place", ["t_called", "./t_called.py"])
def test_a_factory_with_arguments(
    write: Write, place: str, call: str, args: object, kwargs: object, factory: bool
) -> None:
    """With --factory or without: it is called once, with literals that nothing evaluates."""
    loaded = load(f"{place}:{call}", app_dir=write("t_called.py", FACTORY), factory=factory)
    said: Any = loaded.app
    if call.startswith("one"):
        kwargs = {}
    assert said.said == (args, kwargs)
    assert loaded.interface == "wsgi"
    assert loaded.target.replace(" ", "") == f"{place}:{call}".replace(" ", "")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("one()", "'t_called:one()' is called without arguments, but that fails: missing a"),
        ("one(1, 2)", "'t_called:one(1, 2)' is called with these arguments, but that fails: too"),
        ("one(node=1)", "is called with these arguments, but that fails: "),
        ("broken(1)", "the factory 't_called:broken(1)' raised ZeroDivisionError"),
        ("nothing(1)", "what the factory 't_called:nothing(1)' returned is None"),
        ("late(1)", "is a coroutine function; it must be a plain one"),
        ("three(1)", "is not callable"),
        ("once(1)", "has no attribute 'once'; did you mean 't_called:one(1)'?"),
    ],
)
def test_a_factory_with_arguments_that_fails(write: Write, call: str, message: str) -> None:
    with pytest.raises(AppLoadError) as caught:
        load(f"t_called:{call}", app_dir=write("t_called.py", FACTORY))
    assert message in str(caught.value)


def test_app_dir_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"The application directory /.*/nix does not exist"):
        check_target("app:app", tmp_path / "nix")


def test_app_dir_is_a_file(write: Write) -> None:
    directory = write("app.py", "")
    with pytest.raises(UsageError, match=r"app\.py is a file, not a directory"):
        check_target("app:app", directory / "app.py")


@pytest.mark.parametrize("mode", [0o000, 0o444, 0o111])
def test_app_dir_unreadable(mode: int) -> None:
    with tempfile.TemporaryDirectory() as name:  # tmp_path's parents are closed to nobody
        Path(name).chmod(mode)
        with nobody(), pytest.raises(UsageError, match="cannot be read: Permission denied"):
            check_target("app:app", Path(name))
        Path(name).chmod(0o700)


def test_file_unreadable() -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        for file in ("t_app.py", "closed/t_app.py", "closed/t_mod.py"):
            (directory / file).parent.mkdir(exist_ok=True)
            (directory / file).write_text(WSGI.format("app"))
        (directory / "t_app.py").chmod(0)
        (directory / "closed").chmod(0)
        with nobody():
            unreadable = fails("t_app:app", directory)
            closed = fails("closed/t_app.py:app", directory)
            inside = fails("closed.t_app:app", directory)
            absent = fails("closet:app", directory)
        (directory / "closed").chmod(0o700)
    assert str(unreadable) == f"'t_app' cannot be read: {directory}/t_app.py: Permission denied"
    assert unreadable.details == ""
    assert "closed cannot be read: Permission denied" in str(closed)
    assert str(absent) == f"There is no module 'closet' in {directory}; there are: t_app"
    assert str(inside).startswith("There is no module 'closed.t_app'")


def test_unknown_module_with_a_near_name(write: Write) -> None:
    error = fails("t_apq:app", write("t_app.py", ""))
    assert "There is no module 't_apq' in /" in str(error)
    assert str(error).endswith("; did you mean 't_app'?")
    assert error.details == ""


def test_unknown_module_without_a_near_name(write: Write) -> None:
    directory = write("one.py", "", "two/x.py", "", "three/x.txt", "", "a-b.py", "")
    assert str(fails("t_absent:app", directory)).endswith("; there are: one, two")


def test_unknown_module_where_there_is_none(tmp_path: Path) -> None:
    error = fails("t_absent:app", tmp_path)
    assert str(error) == f"There is no module 't_absent' in {tmp_path}"


def test_unknown_module_in_a_package(write: Write) -> None:
    directory = write("t_pkg/__init__.py", "", "t_pkg/server.py", "")
    assert "did you mean 't_pkg.server'?" in str(fails("t_pkg.sever:app", directory))


def test_unknown_package_keeps_the_rest(write: Write) -> None:
    directory = write("t_pkg/__init__.py", "", "t_pkg/server.py", "")
    assert "did you mean 't_pkg.server'?" in str(fails("t_pgk.server:app", directory))


def test_module_in_a_file(write: Write) -> None:
    directory = write("t_app.py", "app = 1")
    assert "'t_app' is a single file, not a package; did you mean 't_app:app'?" in str(
        fails("t_app.app", directory)
    )
    assert str(fails("t_app.nix:app", directory)).endswith("not a package")


def test_unknown_file(write: Write) -> None:
    directory = write("code/t_file.py", "", "code/notes.txt", "")
    error = fails("code/t_fiel.py:app", directory)
    assert str(error) == (
        f"There is no file {directory}/code/t_fiel.py; did you mean 'code/t_file.py'?"
    )
    error = fails("cod/t_file.py:app", directory)
    assert "the directory" in str(error)
    assert "does not exist" in str(error)


def test_missing_attribute_with_near_names(write: Write) -> None:
    directory = write("t_app.py", "application = 1\n")
    error = fails("t_app:aplication", directory)
    assert str(error) == (
        f"'t_app' ({directory}/t_app.py) has no attribute 'aplication'; "
        "did you mean 't_app:application'?"
    )
    assert error.details == ""


def test_missing_attribute_offers_the_usual_names(write: Write) -> None:
    directory = write("t_app.py", "def create_app(): ...\nzzz = 1\n")
    assert "did you mean 't_app:create_app'?" in str(fails("t_app:xyz", directory))


def test_missing_attribute_that_is_a_module(write: Write) -> None:
    directory = write("t_pkg/__init__.py", "", "t_pkg/wsgi.py", "")
    assert "did you mean 't_pkg.wsgi'?" in str(fails("t_pkg:wsgi", directory))


def test_missing_attribute_of_a_bare_directory(write: Write) -> None:
    error = fails("t_pkg:xyz", write("t_pkg/wsgi.py", ""))
    assert "(a directory without __init__.py) has no attribute 'xyz'" in str(error)


def test_missing_attribute_of_a_builtin_module(tmp_path: Path) -> None:
    assert "(built into Python)" in str(fails("sys:xyzzy", tmp_path))


def test_missing_attribute_because_python_has_such_a_module(write: Write) -> None:
    error = fails("json:app", write("json.py", WSGI.format("app")))
    assert "Python's own module of that name came first" in str(error)
    assert "did you mean 'json.py:app'?" in str(error)


def test_missing_nested_attribute(write: Write) -> None:
    directory = write("t_app.py", "class obj:\n    server = 1\n")
    error = fails("t_app:obj.sever", directory)
    assert str(error) == (
        "'t_app:obj' (type) has no attribute 'sever'; did you mean 't_app:obj.server'?"
    )


def test_missing_nested_attribute_of_an_object_without_dir(write: Write) -> None:
    text = "class C:\n    def __dir__(self): raise KeyError\nobj = C()\n"
    error = fails("t_app:obj.sever", write("t_app.py", text))
    assert str(error) == "'t_app:obj' (C) has no attribute 'sever'"


def test_module_alone_with_nothing(write: Write) -> None:
    directory = write("t_app.py", "", "t_factory.py", "def create_app(): ...\n")
    assert "has none of application, app, asgi, wsgi: name the attribute" in str(
        fails("t_app", directory)
    )
    assert "did you mean 't_factory:create_app' with --factory?" in str(
        fails("t_factory", directory)
    )
    (directory / "t_package").mkdir()
    (directory / "t_package" / "main.py").write_text("app = None")
    assert str(fails("t_package", directory)).endswith(
        "as in 't_package:name'; 't_package/' is for what is found in it"
    )


def test_not_callable(write: Write) -> None:
    directory = write("t_app.py", "app = 'text'\nimport os\n")
    assert "'t_app:app' is not callable (it is of type str)" in str(fails("t_app", directory))
    assert "'t_app:app' is not callable (it is of type str)" in str(fails("t_app:app", directory))
    assert "'t_app:os' is the module 'os'" in str(fails("t_app:os", directory))


def test_looks_like_a_factory(write: Write) -> None:
    directory = write("t_app.py", "def app(): ...\n")
    error = fails("t_app:app", directory)
    assert str(error).startswith("'t_app:app' can be called without arguments")
    assert "--factory" in str(error)


# The application failed


def traceback_of(error: AppLoadError) -> str:
    details = error.details
    assert details.startswith("Traceback (most recent call last):\n")
    assert "app_target" not in details, "no frame of ours"
    assert "importlib" not in details, "nor of the import system"
    return details


def test_import_fails(write: Write) -> None:
    directory = write(
        *("t_app.py", "import t_deep\n", "t_deep.py", "def f():\n    {}['missing']\n\nf()\n")
    )
    error = fails("t_app:app", directory)
    details = traceback_of(error)
    assert details.count("  File ") == 3
    assert 't_app.py", line 1, in <module>\n    import t_deep' in details
    assert details.endswith("KeyError: 'missing'\n")
    assert str(error) == "'t_app' raised KeyError while it was imported, see its traceback"


def test_import_fails_with_its_causes(write: Write) -> None:
    text = (
        "try:\n    1 / 0\nexcept ZeroDivisionError as exc:\n    raise ValueError('so') from exc\n"
    )
    details = traceback_of(fails("t_app:app", write("t_app.py", text)))
    assert "ZeroDivisionError" in details
    assert details.endswith("ValueError: so\n")


def test_import_fails_for_want_of_another_module(write: Write) -> None:
    error = fails("t_app:app", write("t_app.py", "import t_not_there.sub\n"))
    assert "ModuleNotFoundError: No module named 't_not_there'" in traceback_of(error)
    assert "it needs the module 't_not_there', which this Python does not have" in str(error)
    assert sys.executable in str(error)


def test_import_fails_for_want_of_a_module_of_the_same_name(write: Write) -> None:
    """The name alone does not tell: here it is the package's own code that misses it."""
    directory = write("t_pkg/__init__.py", "import t_pkg.mod\n")
    error = fails("t_pkg.mod:app", directory)
    assert "import t_pkg.mod" in traceback_of(error)


def test_import_fails_without_a_name(write: Write) -> None:
    error = fails("t_app:app", write("t_app.py", "raise ModuleNotFoundError('gone')\n"))
    assert "ModuleNotFoundError: gone" in traceback_of(error)


def test_syntax_error(write: Write) -> None:
    directory = write("t_app.py", "x = 1\ndef app(:\n")
    error = fails("t_app:app", directory)
    assert f'File "{directory}/t_app.py", line 2' in error.details
    assert "    def app(:" in error.details
    assert "SyntaxError" in error.details
    assert "app_target" not in error.details
    assert "importlib" not in error.details


def test_syntax_error_in_what_it_imports(write: Write) -> None:
    error = fails("t_app:app", write("t_app.py", "import t_deep\n", "t_deep.py", "def (\n"))
    assert 't_deep.py", line 1' in traceback_of(error)


@pytest.mark.parametrize("target", ["code/t_file.py:app", "code/t-file.py:app"])
def test_file_fails(write: Write, target: str) -> None:
    directory = write(target.partition(":")[0], "1 / 0\n")
    error = fails(target, directory)
    assert traceback_of(error).endswith("ZeroDivisionError: division by zero\n")
    assert str(error).startswith(str(directory))
    assert not [name for name in sys.modules if name.endswith(("t_file", "t-file"))]


def test_exit_at_import(write: Write) -> None:
    error = fails("t_app:app", write("t_app.py", "import sys\nsys.exit(3)\n"))
    assert traceback_of(error).endswith("SystemExit: 3\n")
    assert "'t_app' called sys.exit(3) while it was imported" in str(error)
    assert '__name__ == "__main__"' in str(error)


def test_interrupt_at_import(write: Write) -> None:
    error = fails("t_app:app", write("t_app.py", "raise KeyboardInterrupt\n"))
    assert "raise KeyboardInterrupt" in traceback_of(error)
    assert str(error) == "'t_app' was interrupted while it was imported"


def test_property_fails(write: Write) -> None:
    text = "class C:\n    @property\n    def app(self): return self.nix\nobj = C()\n"
    error = fails("t_app:obj.app", write("t_app.py", text))
    assert "return self.nix" in traceback_of(error)
    text = "class C:\n    @property\n    def app(self): return 1 / 0\nobj = C()\n"
    error = fails("t_two:obj.app", write("t_two.py", text))
    assert "return 1 / 0" in traceback_of(error)


def test_module_getattr_fails(write: Write) -> None:
    text = "def __getattr__(name):\n    raise KeyError(name)\n"
    error = fails("t_app", write("t_app.py", text))
    assert "raise KeyError(name)" in traceback_of(error)


def test_module_getattr_fails_while_names_are_offered(write: Write) -> None:
    text = "def __getattr__(n):\n    raise AttributeError(n) if n == 'xyz' else KeyError(n)\n"
    directory = write("t_app.py", text)
    error = fails("t_app:xyz", directory)
    assert str(error) == f"'t_app' ({directory}/t_app.py) has no attribute 'xyz'"


def test_factory_fails(write: Write) -> None:
    text = "def deep(): raise TypeError('no')\ndef make(): deep()\n"
    error = fails("t_app:make", write("t_app.py", text), factory=True)
    details = traceback_of(error)
    assert details.count("  File ") == 2
    assert "the factory 't_app:make' raised TypeError while it was called" in str(error)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("make = 3", "the factory 't_app:make' is not callable"),
        ("def make(config): ...", "missing a required argument: 'config'"),
        ("def make(): ...", "what the factory 't_app:make' returned is None"),
        ("def make(): return 'x'", "what the factory 't_app:make' returned is not callable"),
        ("async def make(): ...", "is a coroutine function; it must be a plain one"),
    ],
)
def test_factory_is_none(write: Write, text: str, words: str) -> None:
    error = fails("t_app:make", write("t_app.py", text + "\n"), factory=True)
    assert words in str(error)
    assert error.details == ""
