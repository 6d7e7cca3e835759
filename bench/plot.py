"""Puts the figures of side_by_side into docs/performance.md and draws its plots (docs/images/*.svg).

    /usr/bin/python3 bench/plot.py side_by_side.json docs

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
# There are more contenders than matplotlib's usual ten colours.
PAIRS = plt.get_cmap("tab20").colors
matplotlib.rcParams["axes.prop_cycle"] = plt.cycler(color=[*PAIRS[::2], *PAIRS[1::2]])
SAVE = {"metadata": {"Date": None}, "bbox_inches": "tight"}


def is_ours(name):
    return name.startswith("tokenstore")


def against_tokens(rows, section, path):
    series = {}
    for row in rows:
        if row["section"] == section:
            series.setdefault(row["name"], []).append((row["tokens"], row["ns_per_call"]))
    figure, axes = plt.subplots(figsize=(8, 5))
    for name, points in series.items():
        points.sort()
        axes.plot(*zip(*points), marker="o", linewidth=2.5 if is_ours(name) else 1.2, label=name)
    axes.set(xscale="log", yscale="log", xlabel="tokens", ylabel="ns per validation", title=section)
    axes.grid(True, which="both", alpha=0.25)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    figure.savefig(path, **SAVE)
    plt.close(figure)


def against_threads(rows, path):
    sections = ("Threads on different tokens", "Threads on one token")
    figure, panels = plt.subplots(1, 2, figsize=(9, 4), sharey=True)
    for axes, section in zip(panels, sections):
        series = {}
        for row in rows:
            if row["section"] == section:
                name = row["name"].rsplit(",", 1)[0]
                series.setdefault(name, []).append((row["threads"], 1e3 / row["ns_per_call"]))
        for name, points in series.items():
            points.sort()
            axes.plot(*zip(*points), marker="o", linewidth=2.5 if is_ours(name) else 1.2, label=name)
        axes.set(xlabel="threads", title=section, xticks=[1, 2, 4])
        axes.grid(True, alpha=0.25)
    panels[0].set(ylabel="million validations a second", ylim=(0, None))
    panels[0].legend(fontsize=8)
    figure.savefig(path, **SAVE)
    plt.close(figure)


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def tables(figures):
    """The whole run as Markdown."""
    out = [
        f"Machine: {figures['processor']}, {figures['cores']} cores, {figures['memory']} of memory, Linux "
        f"{figures['kernel']}; load average at the end {figures['load']}. Sizes: {figures['mode']}.",
        "",
        "### Required",
        "",
        "| what | required | measured | |",
        "|---|---:|---:|---|",
    ]
    for one in figures["requirements"]:
        unit = "x" if one["unit"] == "x" else " " + one["unit"]
        verdict = "met" if one["met"] else "**missed**"
        out.append(f"| {one['what']} | {one['sense']} {one['limit']:g}{unit} | {number(one['measured'])}{unit} | {verdict} |")
    section = None
    for row in figures["rows"]:
        if row["section"] != section:
            section = row["section"]
            out += ["", f"### {section}", "", "| | tokens | threads | ns a call | best round | to ours |"]
            out.append("|---|---:|---:|---:|---:|---:|")
        tokens = f"{row['tokens']:,}" if row["tokens"] else "-"
        ratio = f"{row['ratio_to_ours']:.2f}" if row["ratio_to_ours"] else "-"
        out.append(
            f"| {row['name']} | {tokens} | {row['threads']} | {number(row['ns_per_call'])} | {number(row['best_ns'])} "
            f"| {ratio} |"
        )
    out += [f"\nNote: {note}" for note in figures["notes"]]
    return "\n".join(out)


def fill_in(page, text):
    """Replaces what is between the two marks of the page."""
    begin, end = "<!-- figures: bench/plot.py writes what follows -->", "<!-- end of figures -->"
    before, rest = page.read_text().split(begin)
    after = rest.split(end)[1]
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def main():
    source, docs = sys.argv[1], pathlib.Path(sys.argv[2])
    figures = json.loads(pathlib.Path(source).read_text())
    rows = figures["rows"]
    folder = docs / "images"
    folder.mkdir(parents=True, exist_ok=True)
    fill_in(docs / "performance.md", tables(figures))
    against_tokens(rows, "Hot look-ups, uniform", folder / "cost-against-tokens.svg")
    against_tokens(rows, "Hot look-ups, Zipf 1.0", folder / "cost-against-tokens-zipf.svg")
    against_threads(rows, folder / "throughput-against-threads.svg")


if __name__ == "__main__":
    main()
