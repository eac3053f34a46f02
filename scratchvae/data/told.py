"""What was done to a data set, in words: of `Dataset.preparation`, whose order and form is for programs."""

from scratchvae.errors import counted


def told(preparation):
    """→ lines of text, none where nothing was done that needs saying"""
    lines = [f"{counted(count, 'image')}: {what}" for what, count in preparation.get("images", {}).items()]
    for reason, note in preparation.get("skipped", {}).items():
        more = f" and {note['count'] - 1:,} more" if note["count"] > 1 else ""
        lines.append(f"left out ({reason}): {note['such_as']}{more}")
    if scaling := preparation.get("scaling"):
        lines += _told_of_scaling(scaling)
    if note := preparation.get("validation"):
        lines.append(
            f"{note['images']:,} of {note['of']:,} training images set apart as validation, drawn with seed "
            f"{note['seed']}"
        )
    return lines


def _told_of_scaling(scaling):
    how = {
        "unit": "scaled to [0, 1] by the training rows",
        "standard": "scaled to mean 0 and deviation 1 by the training rows", "none": "as they are",
    }[scaling["rule"]]  # fmt: skip
    yield f"{len(scaling['columns']):,} columns {how}"
    if scaling["constant"]:
        yield f"constant in the training rows: {', '.join(scaling['constant'])[:200]}"
    if scaling.get("outside"):
        yield f"{counted(scaling['outside'], 'test value')} beyond the training rows' set to the nearest of 0 and 1"
