"""What the package says of itself is true: docstrings run, types hold, and everything public has a docstring."""

import doctest
import importlib
import inspect
import pathlib
import pkgutil
import subprocess
import sys
import tempfile

import pytest
import tokenstore
from conftest import TREE

HERE = pathlib.Path(__file__).parent
CACHE = tempfile.TemporaryDirectory()  # the frameworks' sources are read once for all runs of mypy
SOURCES = TREE / "capi" / "python" / "src" / "tokenstore"
MODULES = sorted(
    f"tokenstore.{found.name}"
    for found in pkgutil.iter_modules([str(SOURCES)])
    if found.name not in ("_core", "_postgres")
)


@pytest.mark.parametrize("name", ["tokenstore", "tokenstore._store", "tokenstore._open", "tokenstore._values"])
def test_docstrings_show_what_happens(name):
    results = doctest.testmod(importlib.import_module(name))
    assert results.attempted > 0
    assert results.failed == 0


@pytest.mark.parametrize("name", ["tokenstore._clock", "tokenstore._enums", "tokenstore._keyring", "tokenstore.aio"])
def test_docstrings_of_smaller_modules_show_what_happens(name):
    results = doctest.testmod(importlib.import_module(name))
    assert (results.attempted > 0, results.failed) == (True, 0)


def test_the_page_shows_what_happens():
    results = doctest.testfile(str(TREE / "docs" / "python.md"), module_relative=False)
    assert results.attempted > 15
    assert results.failed == 0


def test_a_page_that_is_wrong_is_noticed(tmp_path, capsys):
    (tmp_path / "page.md").write_text(">>> 1 + 1\n3\n")
    assert doctest.testfile(str(tmp_path / "page.md"), module_relative=False).failed == 1


def test_the_readme_shows_the_first_program():
    page = (TREE / "capi" / "python" / "README.md").read_text(encoding="utf-8")
    program = (TREE / "examples" / "python" / "first.py").read_text(encoding="utf-8")
    assert f"```python\n{program}```" in page


def public(thing, name):
    for part, value in vars(thing).items():
        if part.startswith("_") or inspect.ismodule(value):
            continue
        if inspect.isclass(value) and value.__module__.startswith("tokenstore") and value is not thing:
            yield f"{name}.{part}", value
        elif callable(value) or isinstance(value, (property, classmethod)) or inspect.isgetsetdescriptor(value):
            yield f"{name}.{part}", value


def test_everything_public_has_a_docstring():
    missing = []
    for name in tokenstore.__all__:
        thing = getattr(tokenstore, name)
        if callable(thing) and not inspect.getdoc(thing):
            missing.append(name)
        if inspect.isclass(thing):
            missing += [each for each, value in public(thing, name) if not inspect.getdoc(value)]
    assert missing == []
    assert len(tokenstore.__all__) == len(set(tokenstore.__all__)) > 40


def mypy(*arguments):
    settings = ["--config-file", str(SOURCES.parents[1] / "pyproject.toml"), "--cache-dir", CACHE.name]
    command = [sys.executable, "-m", "mypy", "--strict", "--python-version", "3.9", *settings, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=SOURCES.parent)


def test_the_package_and_a_program_that_uses_everything_are_typed():
    done = mypy("tokenstore", str(HERE / "typed_use.py"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_coroutines_guards_and_the_example_service_are_typed():
    service = sorted(str(path) for path in (TREE / "examples" / "python").glob("*.py") if path.name != "first.py")
    done = mypy(str(HERE / "typed_aio.py"), *service)
    assert done.returncode == 0, done.stdout + done.stderr


def test_wrong_uses_are_type_errors():
    """Each line of typed_misuse.py that ends in "# wrong" is refused, and no other."""
    path = HERE / "typed_misuse.py"
    expected = {i for i, line in enumerate(path.read_text().splitlines(), 1) if line.endswith("# wrong")}
    done = mypy(str(path))
    refused = {int(line.split(":")[1]) for line in done.stdout.splitlines() if "error:" in line}
    assert (done.returncode, refused) == (1, expected), done.stdout


def test_the_stub_names_what_the_extension_has_and_nothing_else():
    from tokenstore import _core

    import ast

    tree = ast.parse((SOURCES / "_core.pyi").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            assert callable(getattr(_core, node.name))
        if isinstance(node, ast.ClassDef):
            declared = {part.name for part in node.body if isinstance(part, ast.FunctionDef)} - {"__new__"}
            own = {part for part in vars(getattr(_core, node.name)) if not part.startswith("__")}
            assert declared == own, node.name


def test_the_typed_program_of_coroutines_runs():
    environment = {"PYTHONPATH": str(pathlib.Path(tokenstore.__file__).parents[1])}
    command = [sys.executable, str(HERE / "typed_aio.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("all of it worked\n")


def test_the_typed_program_runs(tmp_path):
    environment = {"PYTHONPATH": str(pathlib.Path(tokenstore.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, str(HERE / "typed_use.py"), str(tmp_path / "tokens.db")],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("all of it worked\n")
