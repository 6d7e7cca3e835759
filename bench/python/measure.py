"""Measures the Python package beside what a server would use instead, in one run. bench/python/run.sh calls it.

    measure.py --c-loop PROGRAM --directory FOLDER --json FILE [--quick | --full]

Contenders take turns, round by round; a ratio is the median of the rounds' own ratios, so that both sides saw the same
machine.
"""

import argparse
import json
import os
import pathlib
import platform
import re
import socket
import statistics
import subprocess
import sys
import threading
import time

import tokenstore
from contenders import SCOPE, Contenders
from tokenstore import Actor

HERE = pathlib.Path(__file__).parent


def timed(call, rounds):
    """ns a call; every answer is held to the right owner."""
    right = 0
    began = time.perf_counter_ns()
    for _ in range(rounds):
        if call() == "alice":
            right += 1
    took = time.perf_counter_ns() - began
    if right != rounds:
        sys.exit("a contender gave a wrong answer")
    return took / rounds


class Run:
    def __init__(self, options):
        self.options = options
        self.rows = []
        self.required = []
        self.share = 0.2 if options.quick else 1.0

    def row(self, name, ns, best=None, ratio=None):
        self.rows.append({"name": name, "ns_per_call": ns, "best_ns": best, "ratio_to_ours": ratio})

    def require(self, what, sense, limit, unit, measured):
        met = measured <= limit if sense == "at most" else measured >= limit
        self.required.append({"what": what, "sense": sense, "limit": limit, "unit": unit, "measured": measured, "met": met})

    def hot(self, contenders):
        calls = contenders.calls()
        command = [self.options.c_loop, "validate", contenders.path, contenders.text]
        loop = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

        def in_c(rounds):
            loop.stdin.write(f"{rounds}\n")
            loop.stdin.flush()
            return float(loop.stdout.readline())

        taken = {name: [] for name in ["the C call in a loop", *calls]}
        names = list(taken)
        for turn in range(3 if self.options.quick else 15):
            for place in range(len(names)):  # each begins a round in turn
                name = names[(turn + place) % len(names)]
                if name in calls:
                    call, rounds = calls[name]
                    taken[name].append(timed(call, int(rounds * self.share)))
                else:
                    taken[name].append(in_c(int(200_000 * self.share)))
        loop.communicate()
        ours = taken["tokenstore"]
        for name, rounds in taken.items():
            ratios = [theirs / mine for theirs, mine in zip(rounds, ours)]
            self.row(name, statistics.median(rounds), min(rounds), statistics.median(ratios))
        above = statistics.median(mine - c for mine, c in zip(ours, taken["the C call in a loop"]))
        self.require("hot validate with the owner read, above the C call in a loop", "at most", 350, "ns", above)
        for name, least in (("PyJWT HS256", 40), ("itsdangerous", 8), ("sqlite3 by SHA-256", 6)):
            ratio = statistics.median(theirs / mine for theirs, mine in zip(taken[name], ours))
            self.require(f"hot validate with the owner read, against {name}", "at least", least, "x", ratio)

    def two_threads(self, contenders):
        """Validations a second of two threads, against one: the interpreter lock is held by each in turn."""
        call, rounds = contenders.calls()["tokenstore"]
        rounds = int(rounds * self.share) * 3
        ratios = []
        for _ in range(3 if self.options.quick else 7):
            alone = timed(call, rounds)
            threads = [threading.Thread(target=timed, args=(call, rounds)) for _ in range(2)]
            began = time.perf_counter_ns()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            both = (time.perf_counter_ns() - began) / (2 * rounds)
            ratios.append(alone / both)
        self.row("tokenstore, two threads: validations a second, against one", None, None, statistics.median(ratios))

    def route(self, contenders):
        """Servers of which one works at a time, in turns."""
        about = {
            "open": "FastAPI route without a token, a request",
            "empty": "FastAPI route with a security dependency that does nothing, a request",
            "guarded": "FastAPI route with ours, a request",
        }
        servers, rates = {}, {name: [] for name in about}
        try:
            for name in about:
                servers[name] = served({"BENCH_ROUTE": name, "BENCH_TOKENS": str(contenders.path)})
            for turn in range(3 if self.options.quick else 9):
                for name in sorted(servers, reverse=bool(turn % 2)):
                    rates[name].append(self.requests_a_second(*servers[name], contenders.text))
        finally:
            for server, _ in servers.values():
                server.terminate()
                server.wait()
        for name, row in about.items():
            self.row(row, 1e9 / statistics.median(rates[name]), 1e9 / max(rates[name]))
        what = "FastAPI route with the dependency, requests a second of processor time, against the same route without"
        self.require(what, "at least", 0.85, "x", ratio_of(rates["guarded"], rates["open"]))
        ratio = ratio_of(rates["guarded"], rates["empty"])
        self.row("FastAPI route with ours: requests a second, against the one that does nothing", None, None, ratio)

    def requests_a_second(self, server, port, text):
        """Of the server's own processor time: it works without a pause, and others may use the machine too."""
        command = ["wrk", "-t1", "-c8", f"-d{1 if self.options.quick else 2}s", "-H", f"Authorization: Bearer {text}"]
        before = processor_time(server.pid)
        done = subprocess.run([*command, f"http://127.0.0.1:{port}/who"], capture_output=True, text=True, check=True)
        took = processor_time(server.pid) - before
        if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
            sys.exit(f"requests failed:\n{done.stdout}")
        return int(re.search(r"(\d+) requests in", done.stdout)[1]) / took

    def importing(self):
        def took(program):
            process = subprocess.Popen([sys.executable, "-c", program])
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = status
            if status != 0:
                sys.exit("the package cannot be imported")
            return (usage.ru_utime + usage.ru_stime) * 1e3

        took("import tokenstore")
        extra = [took("import tokenstore") - took("pass") for _ in range(5 if self.options.quick else 21)]
        self.require("import tokenstore, above Python's own start, of processor time", "at most", 30, "ms", statistics.median(extra))

    def memory(self):
        count = 200
        program = (
            "import tokenstore\n"
            "def resident(): return int(open('/proc/self/statm').read().split()[1]) * 4096\n"
            "tokenstore.open_memory(cache_bytes=1 << 20).close()\n"
            f"before = resident(); stores = [tokenstore.open_memory(cache_bytes=1 << 20) for _ in range({count})]\n"
            f"print((resident() - before) // {count})"
        )
        of_python = [int(subprocess.check_output([sys.executable, "-c", program])) for _ in range(3)]
        of_c = [int(subprocess.check_output([self.options.c_loop, "memory", str(count)])) for _ in range(3)]
        beyond = (statistics.median(of_python) - statistics.median(of_c)) / 1000
        self.require("memory of an open store, beyond C's", "at most", 200, "kB", beyond)

    def flat(self):
        """Resident memory after many calls, against after a tenth of them."""
        validates, others = (1_000_000, 10_000) if not self.options.full else (10_000_000, 100_000)
        with tokenstore.open_memory(cache_bytes=1 << 20) as store:
            alice, host = Actor.user("alice"), Actor.host()
            text = store.issue(alice, scopes=[SCOPE]).text.reveal()

            def issue():
                issued = store.issue(alice, scopes=[SCOPE])
                store.remove(host, issued.id)  # else what is stored would grow, as it should

            for name, call, count in (
                ("validates", lambda: store.validate(text, SCOPE).owner, validates),
                ("issues", issue, others),
                ("pages", lambda: store.list(host, limit=50), others),
            ):
                for _ in range(count // 10):
                    call()
                before = resident()
                for _ in range(count - count // 10):
                    call()
                self.require(f"memory that {count:,} {name} leave behind", "at most", 1000, "kB", (resident() - before) / 1000)


def ratio_of(these, those):
    """The median of the rounds' own ratios."""
    return statistics.median(this / that for this, that in zip(these, those))


def served(variables):
    """A server of routes.py, and its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "--port", str(port), "--log-level", "error", "--no-access-log", "routes:app"]
    server = subprocess.Popen(command, cwd=HERE, env={**os.environ, **variables})
    for _ in range(400):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return server, port
        time.sleep(0.05)
    server.kill()
    sys.exit("the server did not start")


def processor_time(process):
    """In seconds."""
    fields = pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def machine():
    processor = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    load = " ".join(pathlib.Path("/proc/loadavg").read_text().split()[:3])
    return {
        "processor": processor[1] if processor else platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": load,
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--c-loop", required=True)
    parser.add_argument("--directory", required=True)
    parser.add_argument("--json", required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    run = Run(parser.parse_args())
    contenders = Contenders(pathlib.Path(run.options.directory).resolve())
    run.hot(contenders)
    run.two_threads(contenders)
    run.route(contenders)
    run.importing()
    run.memory()
    run.flat()
    contenders.close()
    mode = "quick" if run.options.quick else "full" if run.options.full else "default"
    figures = {**machine(), "mode": mode, "rows": run.rows, "requirements": run.required}
    pathlib.Path(run.options.json).write_text(json.dumps(figures, indent=2))
    for one in run.required:
        print(f"{one['what']}: {one['measured']:.2f} {one['unit']} ({one['sense']} {one['limit']:g}): {'met' if one['met'] else 'MISSED'}")
    for row in run.rows:
        parts = [f"{row[key]:.2f} {unit}" for key, unit in (("ns_per_call", "ns"), ("ratio_to_ours", "x")) if row[key]]
        print(f"{row['name']}: {', '.join(parts)}")


main()
