"""What `pip install ./capi/python` gives: built from a copy of the tree, and from a source distribution, and used where
nothing else of the library is installed."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile

import pytest
from conftest import TREE

HERE = pathlib.Path(__file__).parent
FIRST = TREE / "examples" / "python" / "first.py"
SAYS = "read:    valid for alice\nwrite:   insufficient_scope\nrevoked: invalid\n"
NOT_BUILT = shutil.ignore_patterns("build", "*.egg-info", "__pycache__", "one_file_made")


def environment(**more):
    """Without the development build; compilers by way of a cache where there is one, and quick rather than good."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "CC", "CXX")}
    if shutil.which("ccache"):
        kept.update(CC="ccache gcc", CXX="ccache g++")
    return {**kept, "CFLAGS": "-O0", "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", **more}


def run(*command, cwd, env=None, fails=False):
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=env or environment(), capture_output=True, text=True, timeout=550
    )
    assert (done.returncode != 0) == fails, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def wheel_of(source, folder, **more):
    run(sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "-w", folder, source,
        cwd=folder, env=environment(**more))  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    copy = tmp_path_factory.mktemp("tree")
    for part in ("capi", "include", "src"):
        shutil.copytree(TREE / part, copy / part, ignore=NOT_BUILT)
    shutil.copy(TREE / "LICENSE", copy)
    return copy


@pytest.fixture(scope="module")
def wheel(tree, tmp_path_factory):
    return wheel_of(tree / "capi" / "python", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "pip", "install", "--no-deps", "--target", folder, wheel, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def sdist(tree, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdist")
    build = f"import setuptools.build_meta as build; build.build_sdist({str(folder)!r})"
    run(sys.executable, "-c", build, cwd=tree / "capi" / "python")
    (made,) = folder.glob("*.tar.gz")
    return made


def test_one_wheel_serves_all_versions_and_carries_the_library(wheel, installed):
    assert re.fullmatch(r"tokenstore-\d+\.\d+\.\d+-cp39-abi3-linux_\w+\.whl", wheel.name)
    with zipfile.ZipFile(wheel) as opened:
        names = {name for name in opened.namelist() if not re.search(r"\.dist-info/", name)}
    assert {"tokenstore/_core.abi3.so", "tokenstore/_postgres.abi3.so", "tokenstore/py.typed"} <= names
    assert {pathlib.PurePath(name).suffix for name in names} == {".py", ".pyi", ".so", ".typed"}
    modules = {f"tokenstore/{path.name}" for path in (TREE / "capi/python/src/tokenstore").glob("*.py*")}
    assert modules <= names
    for extension, entry in (("_core", "PyInit__core"), ("_postgres", "PyInit__postgres")):
        file = installed / "tokenstore" / f"{extension}.abi3.so"
        exported = run("nm", "-D", "--defined-only", file, cwd=installed).split()[2::3]
        assert [name for name in exported if "tokenstore" in name.lower() or name.startswith("Py")] == [entry]
        needed = re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", file, cwd=installed))
        assert not [name for name in needed if re.match("libtokenstore|libfmt|libpython", name)], needed


# In every CPython from 3.9 on as it is used, though the limited API names it since 3.10 only: src/core/limited.hpp.
BESIDES = {"PyUnicode_AsUTF8AndSize"}


def limited_api():
    """The names in Python.h that an extension for CPython 3.9 and later may use."""
    include = sysconfig.get_path("include")
    command = ["g++", "-E", "-P", "-x", "c++", "-DPy_LIMITED_API=0x03090000", f"-I{include}", "-"]
    program = "#define PY_SSIZE_T_CLEAN\n#include <Python.h>\n"
    done = subprocess.run(command, input=program, capture_output=True, text=True, check=True)
    return set(re.findall(r"\b_?Py\w+", done.stdout))


def test_the_extensions_ask_for_nothing_beyond_the_limited_api(installed):
    allowed = limited_api()
    # PyObject_GetBuffer is of 3.11.
    assert {"PyTuple_GetItem", "PyExc_ValueError"} <= allowed
    assert not {"PyObject_GetBuffer", *BESIDES} & allowed
    for extension in ("_core", "_postgres"):
        asked = run("nm", "-D", "--undefined-only", installed / "tokenstore" / f"{extension}.abi3.so", cwd=installed)
        names = {name for name in asked.split() if re.match(r"_?Py", name)}
        assert len(names) > 5
        assert names - allowed <= BESIDES


def test_it_works_in_an_empty_environment(wheel, tmp_path):
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", wheel, cwd=tmp_path)
    assert run(python, FIRST, cwd=tmp_path, env={}) == SAYS
    assert run(python, "-I", "-c", "import tokenstore; print(tokenstore.__version__)", cwd=tmp_path, env={}).strip()


@pytest.mark.parametrize("part", ["surface", "verdict", "sqlite_copies"])
def test_what_is_installed_passes_the_tests(installed, part):
    more = {"PYTHONPATH": str(installed), "TOKENSTORE_TREE": str(TREE)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", f"test_{part}.py"]
    assert re.search(r"\b\d+ passed", run(*command, cwd=HERE, env={**os.environ, **more}))
    place = run(sys.executable, "-c", "import tokenstore; print(tokenstore.__file__)", cwd=installed, env=more)
    assert place.startswith(str(installed))


def test_the_source_distribution_needs_nothing_of_the_tree(sdist, tree, tmp_path):
    with tarfile.open(sdist) as opened:
        opened.extractall(tmp_path)
    (unpacked,) = (path for path in tmp_path.iterdir() if path.is_dir())
    script = TREE / "capi" / "one_file" / "one_file.py"
    run(sys.executable, "-B", script, "--postgres", "--backend", "--check", unpacked / "one_file", cwd=tmp_path)
    assert {"LICENSE", "README.md", "pyproject.toml", "setup.py"} <= {path.name for path in unpacked.iterdir()}
    (tmp_path / "wheel").mkdir()
    wheel = wheel_of(unpacked, tmp_path / "wheel", TOKENSTORE_POSTGRES="0")
    run(sys.executable, "-m", "pip", "install", "--no-deps", "--target", tmp_path / "installed", wheel, cwd=tmp_path)
    bare = {"PYTHONPATH": str(tmp_path / "installed")}
    assert run(sys.executable, FIRST, cwd=tmp_path, env=bare) == SAYS
    told = run(sys.executable, "-c", "import tokenstore; tokenstore.open_postgres('dbname=x')", cwd=tmp_path, env=bare,
               fails=True)  # fmt: skip
    assert "libpq-dev" in told and "ImportError" in told


PRETEND = "import sysconfig, sys, runpy; {}; sys.argv = ['setup.py', '--version']; runpy.run_path('setup.py')"


def test_what_cannot_work_is_refused_with_a_line_that_says_what_to_do(tree, tmp_path):
    def setup(change, cwd=tree / "capi" / "python", **more):
        return run(sys.executable, "-c", PRETEND.format(change), cwd=cwd, env=environment(**more), fails=True)

    assert "not free-threaded" in setup("sysconfig.get_config_vars()['Py_GIL_DISABLED'] = 1")
    assert "this is pypy" in setup("sys.implementation.name = 'pypy'")
    assert "libpq-dev" in setup("import os; os.environ['PATH'] = '/nonexistent'", TOKENSTORE_POSTGRES="1")
    shutil.copytree(TREE / "capi" / "python", tmp_path / "python", ignore=NOT_BUILT)
    (tmp_path / "include").mkdir()
    shutil.copy(TREE / "capi" / "include" / "tokenstore.h", tmp_path / "include")
    told = run(sys.executable, "setup.py", "build_ext", cwd=tmp_path / "python", fails=True)
    assert "from a clone of the tree or from an sdist" in told


def test_the_setup_that_is_not_refused_says_its_version(tree):
    done = run(sys.executable, "-c", PRETEND.format("pass"), cwd=tree / "capi" / "python")
    assert re.search(r"^\d+\.\d+\.\d+$", done, re.M)
