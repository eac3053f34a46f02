"""Data sets that are made, not read: a pure function of the name and a seed, the same bits on every machine.

    clutter, overlap               from the bundled digits: 10,000 training and 2,000 test images
    clutter-mnist, overlap-mnist   from the full MNIST, found or downloaded as "mnist" is: 60,000 and 10,000
    figures                        from nothing: 10,000 and 2,000

The two kinds of digits do not depend on what has been downloaded: a name means one set of pictures.
"""

from scratchvae.data.dataset import Dataset
from scratchvae.data.digits import clutter, overlap
from scratchvae.data.stick_figures import figures

OF_DIGITS = {"clutter": clutter, "overlap": overlap}
NAMES = ("clutter", "overlap", "figures", "clutter-mnist", "overlap-mnist")
COUNTS = {"mnist-small": (10_000, 2_000), "mnist": (60_000, 10_000)}
SAID = {
    "clutter": "one digit of {of} each, on fragments of others and noise",
    "overlap": "two or three digits of {of} each, one over another, with noise",
    "figures": "a stick figure each, on lines and noise, partly behind a box",
}



def segment_names(dataset, classes):
    """What the classes of a data set's field `segments` are called → names"""
    named = "digit {}" if dataset.location in NAMES else "class {}"
    return ("ground", *(named.format(k - (dataset.location in NAMES)) for k in range(1, classes)))


def generate(name, seed, load):
    """The Dataset called `name`, one of NAMES.   load: gives the Dataset of digits by its name"""
    kind, _, _ = name.partition("-")
    of = "mnist" if name.endswith("-mnist") else "mnist-small"
    digits = load(of) if kind in OF_DIGITS else None
    splits = {}
    for part, (place, count) in enumerate(zip(("train", "test"), COUNTS[of], strict=True)):
        splits[place] = (
            OF_DIGITS[kind](digits.splits[place], count, seed, part) if digits else figures(count, seed, part)
        )
    said = SAID[kind].format(of=of)
    parts = "" if digits is None else "; training images of training digits, test images of test digits"
    source = f"Made with seed {seed}: {said}{parts}."
    shape = splits["train"].fields["clean"].shape[1:]
    return Dataset(
        name, shape, source=source, location=name, preparation={"options": {"seed": seed}} if seed else {}, **splits
    )
