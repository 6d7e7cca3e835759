"""A hit makes no system call: strace sees nothing between the program's two marks.

usage: no_system_calls.py PROGRAM
"""
import subprocess
import sys
import tempfile

with tempfile.TemporaryDirectory() as directory:
    trace = directory + "/trace"
    # A missing strace is a failure: run() raises.
    subprocess.run(["strace", "-f", "-o", trace, sys.argv[1], directory + "/store.db"], check=True)
    with open(trace, encoding="utf-8", errors="replace") as file:
        calls = file.read().splitlines()
marks = [number for number, line in enumerate(calls) if "getpgid(" in line]
if len(marks) != 2:
    sys.exit(f"{len(marks)} marks in the trace instead of 2")
# The tracer sees the calls of opening the file, so it would see these too.
if not any("openat(" in line for line in calls[: marks[0]]):
    sys.exit("the tracer sees no system calls at all")
between = calls[marks[0] + 1 : marks[1]]
if between:
    sys.exit("system calls on the path of a hit:\n" + "\n".join(between[:20]))
