"""What may be asked of `load`: each wish once, with its default, checked in one place."""

import re
from dataclasses import asdict, dataclass, fields

from scratchvae import gate
from scratchvae.errors import ConfigError

FITS, SCALES, RULES = ("crop", "pad"), ("unit", "standard", "none"), ("shuffled", "last")


@dataclass(frozen=True)
class Options:
    """size      (height, width) that every image of a folder is brought to; one number for a square, or text as "48x64"
    fit       "crop" cuts at the centre what exceeds that shape; "pad" adds black
    grey      colour images of a folder become grey
    labels    for a folder or an array: a .csv of (file, label), or a .npy or .csv with one label per image in order;
              for a table: the name of its column of labels
    scale     of a table's columns, on its training rows: "unit" to [0, 1], "standard" to mean 0 and deviation 1, "none"
    held_out  where there is no test split: "shuffled", a tenth of every label by the seed; "last", the last tenth
    seed      of the images held out, and of a generated set
    """

    size: tuple[int, int] | None = None
    fit: str = "crop"
    grey: bool = False
    labels: str | None = None
    scale: str | None = None
    held_out: str = "shuffled"
    seed: int = 0

    def __post_init__(self):
        object.__setattr__(self, "size", _size(self.size))
        object.__setattr__(self, "labels", None if self.labels is None else str(self.labels))
        gate.choice("fit", self.fit, FITS)
        gate.flag("grey", self.grey)
        if self.scale is not None:
            gate.choice("scale", self.scale, SCALES)
        gate.choice("held_out", self.held_out, RULES)
        gate.whole("seed", self.seed, least=0, most=2**64 - 1)

    def to_dict(self):
        """Those that differ from their defaults, as JSON can hold them."""
        values = {field.name: field.default for field in fields(self)}
        return {name: value for name, value in asdict(self).items() if value != values[name]}

    def only(self, *names, where):
        """Refuse what is asked and means nothing for this kind of data. Raises ConfigError."""
        for name in self.to_dict():
            if name not in (*names, "held_out", "seed"):
                raise ConfigError(
                    f"{where}: {name}={getattr(self, name)!r} means nothing here: {MEANT_FOR[name]}; leave it out"
                )


MEANT_FOR = {
    "size": "size is for folders of image files",
    "fit": "fit is for folders of image files, with size",
    "grey": "grey is for folders of image files",
    "labels": "labels are for folders of image files, arrays and tables",
    "scale": "scale is for tables: a .csv, or an array of rows",
}


def _size(size):
    """None, 32, "32", "48x64" or (48, 64) → None or (height, width). Raises ConfigError."""
    if isinstance(size, str) and re.fullmatch(r"\d{1,6}([x×]\d{1,6})?", size):
        size = [int(part) for part in re.split("[x×]", size)]
    size = [size] if isinstance(size, int) and not isinstance(size, bool) else size
    if size is None:
        return None
    if isinstance(size, list | tuple) and 1 <= len(size) <= 2 and all(type(n) is int and 1 <= n <= 16384 for n in size):
        return (size[0], size[-1])
    raise ConfigError(
        f"size must be HEIGHTxWIDTH or one number, from 1 to 16384, such as 48x64 or 32, not {gate.shown(size)}"
    )
