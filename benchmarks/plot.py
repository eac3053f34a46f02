"""Draw the figures of one result: python benchmarks/plot.py results/NAME.json [--out FOLDER]"""

import argparse
import sys
from math import floor, log10
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, NullLocator

from scratchvae.files import replacing
from scratchvae.timing import read_result

OURS, FLOOR, BEST, OTHER = "#c0392b", "#c9c9c9", "#1f4e79", "#7fa8cc"
LINES = ["#1f4e79", "#e08e0b", "#2e8b57", "#7d4fa0", "#17becf", "#8c564b", "#7f7f7f", "#d67ab1", "#bcbd22"]
MARKERS = "sD^vP*X<>"
BARS = {
    "step": ("Training step", "ms per step"),
    "epoch": ("One epoch", "ms per epoch"),
    "evaluate": ("Evaluation of 10,000 images", "ms"),
    "sample": ("Sampling of 10,000 images", "ms"),
}
AXES = {
    "batch_size": ("batch size (images)", "Cost of an image against batch size", "µs per image"),
    "width": ("width of the hidden layers (units)", "Cost of a step against width", "ms per step"),
    "threads": ("threads", "Cost of a step against threads", "ms per step"),
}
plt.rcParams |= {"font.size": 15, "axes.titlesize": 17, "axes.spines.top": False, "axes.spines.right": False}


def colour(name, best):
    if name.partition("@")[0] == "ours":
        return OURS
    return FLOOR if name.startswith("matmul") else BEST if name == best else OTHER


def bars(race, result, path):
    """One bar per peer, fastest on top: median, whiskers at the quartiles, and how long ours takes relative to it."""
    kind, unit = BARS[race["what"]]
    names = sorted(race["peers"], key=lambda name: race["peers"][name]["median_ms"])
    fig, ax = plt.subplots(figsize=(11, 2.4 + 0.62 * len(names)), layout="constrained")
    reach, labels = max(race["peers"][name]["q3_ms"] for name in names), []
    for place, name in enumerate(names):
        peer = race["peers"][name]
        low, high = peer["median_ms"] - peer["q1_ms"], peer["q3_ms"] - peer["median_ms"]
        ax.barh(place, peer["median_ms"], color=colour(name, race["best_peer"]), height=0.7)
        ax.errorbar(peer["median_ms"], place, xerr=[[low], [high]], color="black", capsize=5, lw=1.5)
        text = f"{three(peer['median_ms'])} {unit.split()[0]}"
        if ratio := peer.get("ours_to_this_ratio"):
            text += f"    ours / this: {ratio['median']:.2f}"
        labels.append(ax.text(peer["q3_ms"] + 0.02 * reach, place, text, va="center"))
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.set_xlim(0, 1.1 * reach)
    ax.set_xlabel(f"{unit} (median and quartiles of {race['rounds']} interleaved rounds)")
    batch = f"batch {race['batch_size']}, " if race["what"] in ("step", "epoch") else ""  # the others choose their own
    ax.set_title(f"{kind}: {batch}width {race['width']}, threads {race['threads']}", loc="left")
    fig.canvas.draw()  # now the width of the panel and of the words in it are known
    panel, words = ax.get_window_extent().width, max(label.get_window_extent().width for label in labels)
    ax.set_xlim(0, 1.04 * reach / max(1 - words / panel, 0.1))
    save(fig, result, path)


def three(value):
    """Three significant digits and no exponent: 2.00, 57.2, 128, 1250."""
    return f"{value:.{max(0, 2 - floor(log10(value)))}f}"


def curves(races, axis, result, path):
    """Median against one axis, a line per peer with its quartiles as a band, both axes logarithmic."""
    label, title, unit = AXES[axis]
    races = sorted(races, key=lambda race: race[axis])
    names = list(dict.fromkeys(name for race in races for name in race["peers"]))
    rivals = [name for name in names if name != "ours"]
    fig, ax = plt.subplots(figsize=(11, 7.2), layout="constrained")
    for name in names:
        found = [race for race in races if name in race["peers"]]
        x = [race[axis] for race in found]
        scale = [1e3 / race["batch_size"] if axis == "batch_size" else 1.0 for race in found]
        low, y, high = (
            [s * race["peers"][name][key] for s, race in zip(scale, found, strict=True)]
            for key in ("q1_ms", "median_ms", "q3_ms")
        )
        i = 0 if name == "ours" else rivals.index(name)
        style = {"color": LINES[i % len(LINES)], "lw": 1.8, "marker": MARKERS[i % len(MARKERS)]}
        if name == "ours":
            style = {"color": OURS, "lw": 3.5, "zorder": 5, "marker": "o"}
        ax.plot(x, y, ms=8, ls=":" if name.startswith("matmul") else "-", label=name, **style)
        ax.fill_between(x, low, high, color=style["color"], alpha=0.15, lw=0)
    ax.set(xscale="log", yscale="log", xlabel=label, ylabel=f"{unit} (median)")
    for one in (ax.xaxis, ax.yaxis):
        one.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_xticks([race[axis] for race in races])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else ""))
    ax.grid(which="both", alpha=0.25)
    fixed = {"batch_size": "batch {}", "width": "width {}", "threads": "threads {}"}
    at = ", ".join(text.format(races[0][key]) for key, text in fixed.items() if key != axis)
    ax.set_title(f"{title}: {at}", loc="left")
    fig.legend(loc="outside right center", frameon=False)
    save(fig, result, path)


def save(fig, result, path):
    """Write the figure with the machine and date beneath it."""
    m = result["machine"]
    what = " · ".join(f"{k} {v}" for k, v in versions(result).items())
    where = f"{m['cpu']}, {m['usable_cores']} cores · Python {m['python']} · {m['date_utc'][:10]}"
    fig.supxlabel(f"{where}\n{what}", fontsize=13)
    with replacing(path) as temporary:
        fig.savefig(temporary, dpi=110)
    plt.close(fig)
    print(path)


def versions(result):
    found = {}
    for race in result["races"]:
        for peer in race["peers"].values():
            found |= peer["versions"]
    return {name: text for name, text in found.items() if name != "jaxlib"}


def sweep(races, axis):
    """The step races that differ from the first one, the base cell, in this axis alone."""
    others = [key for key in AXES if key != axis]
    steps = [race for race in races if race["what"] == "step"]
    return [race for race in steps if all(race[key] == steps[0][key] for key in others)]


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("result", type=Path)
    parser.add_argument("--out", type=Path, help="folder of the PNGs (default: beside the result)")
    args = parser.parse_args(argv)
    result, folder = read_result(args.result), args.out or args.result.parent
    folder.mkdir(parents=True, exist_ok=True)
    drawn = set()
    for race in result["races"]:
        if race["what"] not in drawn:  # the base cell comes first
            bars(race, result, folder / f"{args.result.stem}_{race['what']}.png")
            drawn.add(race["what"])
    for axis in AXES:
        if len(found := sweep(result["races"], axis)) > 1:
            curves(found, axis, result, folder / f"{args.result.stem}_by_{axis}.png")


if __name__ == "__main__":
    main()
