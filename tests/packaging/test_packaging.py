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
        # A prefix may be moved after it was installed: packages are built that way. Its name has what a name may have.
        cls.prefix = cls.work / "moved_to+another-place"
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

    def test_c_by_pkg_config_and_the_static_library(self):
        # As on a machine that has no shared library of ours.
        alone = self.work / "static-only"
        (alone / "lib/pkgconfig").mkdir(parents=True)
        shutil.copytree(self.prefix / "include", alone / "include")
        shutil.copy(self.libraries / "libtokenstore.a", alone / "lib")
        text = (self.libraries / "pkgconfig/tokenstore.pc").read_text(encoding="utf-8")
        text = re.sub(r"(?m)^libdir=.*$", f"libdir={alone}/lib", text)
        text = re.sub(r"(?m)^includedir=.*$", f"includedir={alone}/include", text)
        (alone / "lib/pkgconfig/tokenstore.pc").write_text(text, encoding="utf-8")
        environment = {"PKG_CONFIG_PATH": str(alone / "lib/pkgconfig")}
        command = [os.environ.get("CC", "cc"), "-std=c99", HERE / "c/consumer.c", "-o", self.work / "consumer-static"]
        flags = run("pkg-config", "--static", "--cflags", "--libs", "tokenstore", env=environment).split()
        run(*command, *flags)
        self.runs(self.work / "consumer-static")
        # The control: without --static these are the flags of the shared library, which needs none of it.
        with self.assertRaisesRegex(AssertionError, "undefined reference"):
            run(*command, *run("pkg-config", "--cflags", "--libs", "tokenstore", env=environment).split())

    def found(self, *arguments, hidden=()):
        """What find_package(tokenstore ARGUMENTS) finds where some modules of pkg-config are hidden."""
        project = self.work / "finder"
        project.mkdir(exist_ok=True)
        (project / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.22)\nproject(finder LANGUAGES C CXX)\n"
            f"find_package(tokenstore {' '.join(arguments)})\n"
            'message(STATUS "found:${tokenstore_FOUND} c:${tokenstore_c_FOUND} cxx:${tokenstore_cxx_FOUND} '
            'postgres:${tokenstore_postgres_FOUND}")\n', encoding="utf-8")
        # pkg-config with the rest of its modules in a folder of links.
        modules = self.work / "modules"
        shutil.rmtree(modules, ignore_errors=True)
        modules.mkdir()
        for folder in run("pkg-config", "--variable=pc_path", "pkg-config").strip().split(":"):
            for file in pathlib.Path(folder).glob("*.pc"):
                if file.stem not in hidden and not (modules / file.name).exists():
                    (modules / file.name).symlink_to(file)
        build = self.work / "build-finder"
        shutil.rmtree(build, ignore_errors=True)
        output = run("cmake", "-S", project, "-B", build, f"-DCMAKE_PREFIX_PATH={self.prefix}",
                     env={"PKG_CONFIG_LIBDIR": str(modules)})
        return re.search(r"found:(\S*) c:(\S*) cxx:(\S*) postgres:(\S*)", output).groups(), output

    def test_a_component_that_lacks_something_is_not_found_and_ends_nothing(self):
        self.assertEqual(self.found("QUIET")[0][:3], ("1", "TRUE", "TRUE"))
        self.assertEqual(self.found("QUIET", hidden=["libsodium"])[0][:3], ("0", "TRUE", "FALSE"))
        self.assertEqual(self.found("COMPONENTS c OPTIONAL_COMPONENTS cxx postgres", hidden=["libsodium"])[0],
                         ("1", "TRUE", "FALSE", "FALSE"))
        self.assertEqual(self.found("QUIET COMPONENTS c OPTIONAL_COMPONENTS postgres", hidden=["libpq"])[0],
                         ("1", "TRUE", "TRUE", "FALSE"))
        self.assertEqual(self.found("QUIET COMPONENTS postgres", hidden=["libpq"])[0][0], "0")
        self.assertEqual(self.found("QUIET COMPONENTS nonsense")[0][0], "0")
        # Who requires it is told in a line what is missing.
        with self.assertRaisesRegex(AssertionError, r"(?s)cxx\s+needs\s+libsodium>=1.0.18"):
            self.found("REQUIRED", hidden=["libsodium"])

    def test_headers_compile_after_headers_that_make_macros_of_common_words(self):
        flags = run("pkg-config", "--cflags", "x11", "python3").split()
        command = [os.environ.get("CXX", "c++"), "-std=c++20", "-fsyntax-only", "-Wall", "-Werror", HERE / "crowded.cpp"]
        run(*command, "-I", self.prefix / "include", *flags)
        # The control: without what sets the macro aside, they do not.
        bare = self.work / "bare"
        shutil.copytree(self.prefix / "include", bare)
        status = bare / "tokenstore/status.hpp"
        status.write_text(status.read_text(encoding="utf-8").replace("#undef Status", ""), encoding="utf-8")
        with self.assertRaisesRegex(AssertionError, "error: "):
            run(*command, "-I", bare, *flags)

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
