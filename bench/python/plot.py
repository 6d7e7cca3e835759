"""Puts the figures of measure.py into docs/performance.md and draws docs/images/python-cost.svg.

    /usr/bin/python3 bench/python/plot.py python.json docs

Needs matplotlib (Debian: python3-matplotlib).
"""

import json
import pathlib
import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

# The same run gives the same file.
matplotlib.rcParams["svg.hashsalt"] = "tokenstore"
BEGIN, END = "<!-- figures of Python: bench/python/plot.py writes what follows -->", "<!-- end of figures of Python -->"


def number(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def draw(rows, path):
    bars = sorted((row["ns_per_call"], row["name"]) for row in rows if row["ratio_to_ours"] and row["ns_per_call"])
    figure, axes = plt.subplots(figsize=(8, 3))
    colors = ["tab:blue" if name == "tokenstore" else "tab:gray" for _, name in bars]
    axes.barh([name for _, name in bars], [ns for ns, _ in bars], color=colors)
    axes.set(xscale="log", xlabel="ns a call, the owner read", title="One hot token from Python")
    axes.grid(True, axis="x", which="both", alpha=0.25)
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)


def tables(figures):
    out = [
        f"Machine: {figures['processor']}, {figures['cores']} cores, CPython {figures['python']}; load average at the end "
        f"{figures['load']}. Sizes: {figures['mode']}.",
        "",
        "| what | required | measured | |",
        "|---|---:|---:|---|",
    ]
    for one in figures["requirements"]:
        unit = "x" if one["unit"] == "x" else " " + one["unit"]
        verdict = "met" if one["met"] else "**missed**"
        out.append(f"| {one['what']} | {one['sense']} {one['limit']:g}{unit} | {number(one['measured'])}{unit} | {verdict} |")
    out += ["", "| | ns a call | best round | to ours |", "|---|---:|---:|---:|"]
    for row in figures["rows"]:
        cells = [number(row[key]) if row[key] else "-" for key in ("ns_per_call", "best_ns", "ratio_to_ours")]
        out.append(f"| {row['name']} | {' | '.join(cells)} |")
    return "\n".join(out)


def main():
    figures, docs = json.loads(pathlib.Path(sys.argv[1]).read_text()), pathlib.Path(sys.argv[2])
    page = docs / "performance.md"
    before, rest = page.read_text().split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{tables(figures)}\n{END}{rest.split(END)[1]}")
    draw(figures["rows"], docs / "images" / "python-cost.svg")


main()
