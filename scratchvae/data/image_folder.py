"""A folder of images, nested as people nest them.

    folder/*.jpg …                      images without labels
    folder/<class>/**/*.jpg …           labels, by the names of the first folders that part the images
    folder/train/…, folder/test/…       either of these, already split; also val/, valid/ or validation/

Images come in the order of their names. Classes are interleaved in proportion, so that the last tenth of the set is the
last tenth of every class, as runs of version 0.1.0 want it.
"""

import os

import numpy as np

from scratchvae.data.assembly import held_out, to_dataset
from scratchvae.data.labels import labels_of_files
from scratchvae.data.mapped import is_mapped
from scratchvae.data.reading import read_images
from scratchvae.data.told import told
from scratchvae.errors import DataError

PARTS = {"train": "train", "test": "test", "val": "validation", "valid": "validation", "validation": "validation"}


def load_image_folder(listing, options, progress=True):
    """A Dataset from the Listing of a folder laid out as above. Raises DataError naming the first file at fault."""
    folder = listing.folder
    options.only("size", "fit", "grey", "labels", where=folder)
    note = {"skipped": listing.note()} if listing.skipped else {}
    if not listing.files:
        raise DataError("; ".join([f"{folder}: no images there, of the kinds that are read", *told(note)])[:490])
    parts = _parts(folder, listing.files, plain=options.labels is not None)
    files = {part: [name for name, _ in pairs] for part, pairs in parts.items()}
    labels = {part: [label for _, label in pairs] for part, pairs in parts.items()}
    if options.labels is not None:
        found, idle = labels_of_files(options.labels, [name for names in files.values() for name in names], folder)
        if idle:
            note["skipped"] = {
                **note.get("skipped", {}),
                "a label without an image": {"count": len(idle), "such_as": idle[0]},
            }
        for part, names in files.items():
            labels[part], found = found[: len(names)], found[len(names) :]
    elif len({names is None for names in map(_classes, labels.values())}) > 1 or _strange(labels):
        given = "; ".join(f"{part}: {', '.join(_classes(of) or ['no class folders'])}" for part, of in labels.items())
        raise DataError(f"{folder}: the parts have not the same classes ({given}): give all the same class folders")
    paths = [f"{folder}{os.sep}{name}" for names in files.values() for name in names]
    labels = {part: None if any(label is None for label in of) else np.asarray(of) for part, of in labels.items()}
    split = places = None
    # read in the order of the split, nothing needs to be moved
    if "test" not in parts and len(parts["train"]) == len(paths) > 1:
        split = held_out(labels["train"], len(paths), folder, options)
        order = np.concatenate(list(split[0].values()))
        places = np.argsort(order)
    images, done = read_images(paths, options, progress, places)
    if split and not is_mapped(images):
        labels["train"] = None if labels["train"] is None else labels["train"][order]
        kept = len(split[0]["train"])
        split = {"train": slice(kept), "test": slice(kept, None)}, *split[1:]
    if done:
        note["images"] = done
    triples, start = {}, 0
    for part, names in files.items():
        of = labels[part]
        triples[part] = (images[start : start + len(names)], of, folder if part == "train" else f"{folder}, {part}")
        start += len(names)
    source = f"The {len(paths)} images in {folder}"
    return to_dataset(os.path.basename(os.path.realpath(folder)), triples, source, options, note, split=split)


def _parts(folder, files, plain):
    """{"train": [(file, class or None)], …}, in the order in which images are read.   plain: folders are no classes"""
    tops = {name.split("/")[0] for name in files if "/" in name}
    if "train" not in tops:
        if "test" in tops:
            raise DataError(
                f"{folder}: has test/ but no train/: put the training images into {os.path.join(folder, 'train')}"
            )
        return {"train": _classed(folder, files, "", plain)}
    parts = {}
    for name in files:
        top, _, rest = name.partition("/")
        if not rest or top not in PARTS:  # a class that happens to be called "train" must not make the others vanish
            raise DataError(
                f"{os.path.join(folder, name)}: lies beside train/: move it into train/ or test/, or rename train/"
            )
        parts.setdefault(PARTS[top], {}).setdefault(top, []).append(rest)
    if len(parts.get("validation", "1")) > 1:
        raise DataError(f"{folder}: has both {' and '.join(parts['validation'])}: keep one of them")
    return {part: _classed(folder, *next((names, f"{top}/", plain) for top, names in parts[part].items())) for part in
            ("train", "test", "validation") if part in parts}  # fmt: skip


def _classed(folder, files, under, plain):
    """[(under + file, class or None)]: the class is the first folder that is not the same for all."""
    if plain:
        return [(under + name, None) for name in files]
    while "/" in files[0] and len(tops := {name.split("/")[0] for name in files}) == 1:
        top = tops.pop() + "/"
        under, files = under + top, [name.removeprefix(top) for name in files]
    loose, classes = [name for name in files if "/" not in name], {}
    if len(loose) == len(files):
        return [(under + name, None) for name in files]
    for name in files:
        classes.setdefault(name.partition("/")[0], []).append(name)
    if loose:
        beside = next(name for name in files if "/" in name).split("/")[0]
        raise DataError(
            f"{os.path.join(folder, under + loose[0])}: lies beside the folder {beside}/: use class folders for all or "
            "none"
        )
    ranked = [
        ((rank + 0.5) / len(names), label, name)
        for label, names in sorted(classes.items()) for rank, name in enumerate(names)
    ]  # fmt: skip
    return [(under + name, label) for _, label, name in sorted(ranked)]


def _classes(labels):
    """The class names among labels, sorted; None for none."""
    return None if labels[0] is None else sorted(set(labels))


def _strange(labels):
    """Whether another part has a class that the training images lack."""
    known = set(labels["train"])
    return any(not set(of) <= known for of in labels.values())
