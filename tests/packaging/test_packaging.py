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
        build = self.work / f"build-{pathlib.Path(project).name}"
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

    def test_c_on_postgres_by_pkg_config(self):
        if not (self.libraries / "pkgconfig/tokenstore-postgres-c.pc").exists():
            self.assertFalse(list(self.libraries.glob("libtokenstore-postgres*")), "installed without a .pc file")
            return
        flags = run("pkg-config", "--cflags", "--libs", "tokenstore-postgres-c", env=self.pkg_config).split()
        program = self.work / "postgres-c"
        run(os.environ.get("CC", "cc"), "-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror",
            HERE.parent / "postgres/c_host.c", "-o", program, *flags)
        with self.assertRaisesRegex(AssertionError, "ended with 1:\ncannot_open: "):
            run(program, "host=/nowhere", env={"LD_LIBRARY_PATH": str(self.libraries)})

    def test_cxx_by_pkg_config(self):
        flags = run("pkg-config", "--cflags", "--libs", "tokenstore-cxx", env=self.pkg_config).split()
        program = self.work / "consumer-cxx"
        run(os.environ.get("CXX", "c++"), "-std=c++20", "-Wall", "-Wextra", "-Werror", HERE / "cxx/consumer.cpp",
            "-o", program, *flags)
        self.runs(program)

    def test_authors_of_backends_are_judged_by_the_installed_kit(self):
        example = SOURCE / "examples/custom_backend"
        build = self.build(example, f"-DCMAKE_PREFIX_PATH={self.prefix}")
        kit = run("pkg-config", "--variable=conformance", "tokenstore", env=self.pkg_config).strip()
        self.assertIn("0 failed", run(kit, build / "lmdb_conformance.so", "a use"))

        # By hand, with a header and nothing else of ours; and broken, so that the kit is seen to fail.
        flags = run("pkg-config", "--cflags", "tokenstore", env=self.pkg_config).split()
        program_only = {"conformance.c", "first.c", "open_store.c"}
        sources = [path for path in example.glob("*.c") if path.name not in program_only]
        module = self.work / "broken.so"
        run(os.environ.get("CC", "cc"), "-std=c11", "-D_POSIX_C_SOURCE=200809L", "-shared", "-fPIC",
            "-fvisibility=hidden", "-Wall", "-Wextra", "-pedantic", "-Werror", "-I", example,
            HERE / "broken_backend/broken.c", *sources, "-o", module, *flags, "-llmdb", "-pthread")
        with self.assertRaisesRegex(AssertionError, r"(?s)ended with 1:.*ok    a use raises no revision.*"
                                                    r"FAIL  lists show last uses"):
            run(kit, module, "use")

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
