"""The figures of a result: loss curves on both backends, the roofline with every operation, the race, and the crossover."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib import ticker

from scratchvae.files import replacing

OURS, THEIRS, GREY = "#c0392b", "#1f4e79", "#9a9a9a"


def draw(result, folder):
    """→ the paths of the figures that the result has the numbers for"""
    parts, paths = result["parts"], []
    device = result["device"] if isinstance(result["device"], str) else result["device"]["name"]
    for name, needs, function in (
        ("training", ["training"], _training), ("roofline", ["roofline", "operations"], _roofline), ("race", ["steps", "race"], _race),
        ("crossover", ["crossover"], _crossover),
    ):  # fmt: skip
        if not all(_has_numbers(parts.get(need, {})) for need in needs):
            continue
        figure = plt.figure(figsize=(11, 7), layout="constrained")
        function(figure, parts)
        figure.supxlabel(f"{device} · {result['machine']['date_utc'][:10]}", fontsize=10)
        paths.append(folder / f"gpu_{name}.png")
        with replacing(paths[-1]) as temporary:
            figure.savefig(temporary, dpi=110)
        plt.close(figure)
    return paths


def _has_numbers(part):
    return any(key in part for key in ("lines", "curves", "copy_GB_per_s"))


def _training(figure, parts):
    """Both backends' losses over one another, and the distance between them."""
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    part = parts["training"]
    above.plot(part["curves"]["NumPy float32"], color=THEIRS, lw=5, alpha=0.4, label="NumPy, float32")
    above.plot(part["curves"]["CUDA float32"], color=OURS, lw=1.5, label="CUDA, float32")
    above.set(ylabel="−ELBO of the batch (nats per image)", title=f"The same training on both backends: {part['model']}")
    above.legend(frameon=False)
    for kind, colour in (("float32", OURS), ("float64", GREY)):
        pairs = zip(part["curves"][f"CUDA {kind}"], part["curves"][f"NumPy {kind}"], strict=True)
        below.semilogy([max(abs(a / b - 1), 1e-17) for a, b in pairs], color=colour, label=kind)
    below.set(xlabel="step", ylabel="relative difference")
    below.legend(frameon=False)


def _roofline(figure, parts):
    """Operations per second against operations per byte, under the measured ceilings."""
    axes, roof = figure.subplots(), parts["roofline"]
    width, peak = roof["copy_GB_per_s"], roof["float32_GFLOP_per_s"]
    reach = sorted([0.05, 1000, peak / width])
    label = f"measured: a copy, {_number(width)} GB/s, and a library's product, {_number(peak)} GFLOP/s in FP32"
    axes.loglog(reach, [min(width * x, peak) for x in reach], color=GREY, lw=2, label=label)
    lines = parts["operations"]["lines"]
    batches = sorted({line["batch"] for line in lines})
    for batch, marker in zip(batches, "osD^", strict=False):
        some = [line for line in lines if line["batch"] == batch]
        x, y = [line["operations"] / line["bytes"] for line in some], [line["GFLOP_per_s"] for line in some]
        axes.plot(x, y, marker, ms=9, color=OURS, alpha=0.8, label=f"batch {batch}")
        if batch == batches[-1]:
            for line, a, b in zip(some, x, y, strict=True):
                # A layer's two products lie side by side.
                side, align = (-9, "right") if line["operation"] == "dense_backward" else (9, "left")
                axes.annotate(line["operation"], (a, b), textcoords="offset points", xytext=(side, -4), ha=align, fontsize=10)
    axes.set(xlabel="operations per byte that must move", ylabel="GFLOP/s", title="Every kernel of a step under this machine's roofline")
    _plain(axes.xaxis, axes.yaxis)
    axes.legend(frameon=False, loc="upper left")
    axes.set_ylim(top=axes.get_ylim()[1] * 6)  # room for it


def _race(figure, parts):
    """µs per step: a panel per model, FP32 and TF32 beside one another."""
    ours = [{**line, "peer": "ours" if line["graph"] else "ours, launch by launch"} for line in parts["steps"]["lines"]]
    lines = ours + parts["race"]["lines"]
    models = list(dict.fromkeys(line["model"] for line in lines))
    for axes, model in zip(figure.subplots(-(-len(models) // 2), 2, squeeze=False).flat, models, strict=False):
        some = sorted((line for line in lines if line["model"] == model), key=lambda line: -line["median_us"])
        for row, line in enumerate(some):
            colour = OURS if line["peer"].startswith("ours") else THEIRS
            axes.plot([line["q1_us"], line["q3_us"]], [row, row], color=colour, lw=2)
            axes.plot(line["median_us"], row, "o", color=colour, ms=7, mfc=colour if line["precision"] == "fp32" else "white")
            axes.annotate(_number(line["median_us"]), (line["q3_us"], row), textcoords="offset points", xytext=(9, -3), fontsize=8)
        axes.set_yticks(range(len(some)), [f"{line['peer']}, {line['precision'].upper()}" for line in some])
        axes.set(xscale="log", title=model, xlabel="µs per step (median and quartiles)")
        axes.margins(x=0.12, y=0.08)
        axes.grid(axis="y", color="0.9")
        axes.tick_params(labelsize=8)
        low, high = axes.get_xlim()
        axes.set_xlim(right=high * (high / low) ** 0.12)  # room for the last one's number
        _plain(axes.xaxis)


def _crossover(figure, parts):
    """µs per step against the batch size, on both backends."""
    axes, part = figure.subplots(), parts["crossover"]
    batches = [line["batch"] for line in part["lines"]]
    axes.loglog(batches, [line["numpy_us"] for line in part["lines"]], "o-", color=THEIRS, label=f"NumPy, {part['threads']} threads")
    axes.loglog(batches, [line["device_us"] for line in part["lines"]], "o-", color=OURS, label="CUDA")
    first = part["gpu_is_faster_from_batch"]
    title = "A training step on both backends" + (f": the GPU is faster from batch {first} on" if first else "")
    axes.set(xlabel="batch size", ylabel="µs per step", title=title)
    axes.set_xticks(batches, map(str, batches), minor=False)
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    _plain(axes.yaxis)
    axes.legend(frameon=False)


def _plain(*axes):
    """Logarithmic axes with numbers as one says them, at 1, 2 and 5 times each power where there is room, else at the powers."""
    for axis in axes:
        low, high = axis.get_view_interval()
        subs = (1, 2, 5) if high < 40 * low else (1,)
        axis.set_major_locator(ticker.LogLocator(subs=subs, numticks=12))
        axis.set_major_formatter(lambda value, _: _number(value))
        axis.set_minor_formatter(ticker.NullFormatter())


def _number(value):
    """Three digits of it, or all that stand before the point: 0.0123, 4.56, 78.9, 12,345."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
