"""Which Go there is, and how its commands are run by the tests of this folder."""

import json
import os
import pathlib
import re
import subprocess
import shutil

OLDEST = (1, 19)
# For machines that have no newer one than Debian's: a module like others, from the module proxy, checked by its sum.
NEWER = "golang.org/toolchain@v0.0.1-go1.25.4.linux-{machine}"
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def version_of(go):
    said = subprocess.run([go, "version"], text=True, stdout=subprocess.PIPE, env={**os.environ, "GOTOOLCHAIN": "local"})
    found = re.search(r"go(\d+)\.(\d+)", said.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def installed():
    candidates = [shutil.which("go"), *map(str, pathlib.Path("/usr/lib").glob("go-*/bin/go"))]
    return sorted((version_of(go), go) for go in candidates if go and os.access(go, os.X_OK))


def oldest():
    """The oldest Go that is supported: Debian 12's. One that is missing fails the test."""
    for version, go in installed():
        if version == OLDEST:
            return go
    raise SystemExit("Go 1.19 is missing: run .ci/packages.sh test")


def newer(cache):
    """A Go that has iterators, and looks for leaks at the end: what is installed, or a pinned one from the module proxy."""
    version, go = installed()[-1]
    return go if version >= (1, 25) else fetched(cache)


def fetched(cache):
    module = NEWER.format(machine=MACHINES[os.uname().machine])
    done = subprocess.run([oldest(), "mod", "download", "-json", module], text=True, stdout=subprocess.PIPE,
                          env=environment(GOMODCACHE=cache, GOFLAGS="-modcacherw"))
    if done.returncode != 0:
        raise SystemExit(f"no newer Go is installed, and {module} cannot be had: install one, or let the proxy be reached")
    folder = pathlib.Path(json.loads(done.stdout)["Dir"])
    # A module cannot say which files are programs.
    for place in ("bin", "pkg/tool"):
        for path in (folder / place).rglob("*"):
            if path.is_file():
                path.chmod(0o755)
    for path in folder.rglob("_go.mod"):
        path.rename(path.with_name("go.mod"))
    return str(folder / "bin/go")


def environment(**changes):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GO") or name == "GOPROXY"}
    return {**kept, "GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "1", **{k: str(v) for k, v in changes.items()}}


def run(go, *arguments, folder, **changes):
    """Runs a go command, shows what it says, and answers its status and its output."""
    root = subprocess.run([go, "env", "GOROOT"], text=True, stdout=subprocess.PIPE, env=environment()).stdout.strip()
    changes.setdefault("PATH", f"{root}/bin:{os.environ['PATH']}")
    print("+ go", *arguments, flush=True)
    done = subprocess.run([go, *arguments], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env=environment(**changes))
    print(done.stdout, end="", flush=True)
    return done.returncode, done.stdout


def write_pkg_config(tree, library, folder):
    """What pkg-config would say of a library that is not installed."""
    (folder / "tokenstore.pc").write_text(
        f"Name: tokenstore\nDescription: of this build\nVersion: 0\nCflags: -I{tree}/capi/include\n"
        f"Libs: -L{library.parent} -Wl,-rpath,{library.parent} -ltokenstore\n", encoding="utf-8")


def build_asker(tree, library, folder):
    """The Go process that shares a file with others."""
    folder.mkdir(parents=True, exist_ok=True)
    write_pkg_config(tree, library, folder)
    program = folder / "asker"
    status, _ = run(oldest(), "build", "-tags", "tokenstore_system", "-o", str(program), ".", folder=tree / "tests/go/asker",
                    PKG_CONFIG_PATH=folder)
    if status != 0:
        raise SystemExit("the Go process that shares a file cannot be built")
    return program


class Lines:
    """A process that says "open", and then answers each line with a line."""

    def __init__(self, program, path):
        self.process = subprocess.Popen([program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "open\n"

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(timeout=60) == 0
