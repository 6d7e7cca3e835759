"""Other projects find, build and run what this one installs.

    python3 test_packaging.py SOURCE_TREE BUILD_TREE

The build tree has to be built. CC, CXX and LAUNCHER say with what the other projects are built.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(sys.argv[1]).resolve()
BUILD = pathlib.Path(sys.argv[2]).resolve()
HERE = pathlib.Path(__file__).resolve().parent


def run(*command, cwd=None, env=None):
    done = subprocess.run([str(part) for part in command], cwd=cwd, env={**os.environ, **(env or {})}, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


class Packaging(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.work = pathlib.Path(cls.folder.name)
        first = cls.work / "first"
        run("cmake", "--install", BUILD, "--prefix", first)
        # A prefix may be moved after it was installed: packages are built that way.
        cls.prefix = cls.work / "moved"
        first.rename(cls.prefix)
        cls.libraries = next(path.parent for path in cls.prefix.rglob("libtokenstore.a"))
        cls.pkg_config = {"PKG_CONFIG_PATH": str(cls.libraries / "pkgconfig")}

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def build(self, project, *options):
        build = self.work / f"build-{project}"
        launcher = os.environ.get("LAUNCHER")
        launchers = [f"-DCMAKE_{language}_COMPILER_LAUNCHER={launcher}" for language in ("C", "CXX")] if launcher else []
        run("cmake", "-G", "Ninja", "-S", HERE / project, "-B", build, *launchers, *options)
        run("cmake", "--build", build)
        return build

    def runs(self, program, **environment):
        with tempfile.TemporaryDirectory(dir=self.work) as folder:
            self.assertIn("consumer ok", run(program, cwd=folder, env=environment))

    def test_cxx_by_find_package(self):
        self.runs(self.build("cxx", f"-DCMAKE_PREFIX_PATH={self.prefix}") / "consumer")

    def test_c_by_find_package(self):
        self.runs(self.build("c", f"-DCMAKE_PREFIX_PATH={self.prefix}") / "consumer")

    def test_c_by_pkg_config(self):
        flags = run("pkg-config", "--cflags", "--libs", "tokenstore", env=self.pkg_config).split()
        program = self.work / "consumer-c"
        run(os.environ.get("CC", "cc"), "-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", HERE / "c/consumer.c",
            "-o", program, *flags)
        self.runs(program, LD_LIBRARY_PATH=str(self.libraries))

    def test_cxx_by_pkg_config(self):
        flags = run("pkg-config", "--cflags", "--libs", "tokenstore-cxx", env=self.pkg_config).split()
        program = self.work / "consumer-cxx"
        run(os.environ.get("CXX", "c++"), "-std=c++20", "-Wall", "-Wextra", "-Werror", HERE / "cxx/consumer.cpp",
            "-o", program, *flags)
        self.runs(program)

    def test_a_host_by_add_subdirectory(self):
        build = self.build("host", f"-DTOKENSTORE_SOURCE={SOURCE}")
        self.runs(build / "host")
        self.runs(build / "host_c")
        self.assertNotIn("-Werror", (build / "build.ninja").read_text().replace("-Wconversion -Werror", ""))
        self.assertIn("No tests were found", run("ctest", "--test-dir", build))

    def test_what_is_installed_says_nothing_of_where_it_was_built(self):
        looked_at = 0
        for path in self.prefix.rglob("*"):
            if path.is_file() and ".so" not in path.name and path.suffix in (".cmake", ".pc", ".hpp", ".h", ".1"):
                looked_at += 1
                text = path.read_text(encoding="utf-8")
                for place in (SOURCE, BUILD, self.work):
                    self.assertNotIn(str(place), text, path)
        self.assertGreater(looked_at, 10)

    def test_public_headers_name_no_outside_library(self):
        for path in (self.prefix / "include").rglob("*.h*"):
            for name in re.findall(r"#\s*include\s*[<\"]([^>\"]+)", path.read_text(encoding="utf-8")):
                self.assertRegex(name, r"^(tokenstore[/_.].*|[a-z_]+|std[a-z]+\.h)$", path)

    def test_the_shared_library_exports_its_own_names_only(self):
        library = self.libraries / "libtokenstore.so"
        names = [line.split()[-1].split("@")[0] for line in run("nm", "-D", "--defined-only", library).splitlines()]
        ours = [name for name in names if name.startswith("tokenstore_")]
        versions = [name for name in names if re.match(r"^(LIB)?TOKENSTORE_[0-9.]+$", name, re.I)]
        self.assertGreater(len(ours), 10)
        self.assertEqual(sorted(names), sorted(ours + [name for name in versions if name not in ours]))
        self.assertRegex(run("readelf", "-d", library), r"SONAME.*\[libtokenstore\.so\.\d+\]")


if __name__ == "__main__":
    if shutil.which("pkg-config") is None:
        sys.exit("pkg-config is missing: install it")
    unittest.main(argv=sys.argv[:1], verbosity=2)
