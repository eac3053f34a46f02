"""What a piece of this museum is."""

import difflib
from dataclasses import dataclass

from .private_copy import ROOT, PackageCopy, edited, function_lines

CONTEXT = 2  # unchanged lines that a diff shows around each change


@dataclass(frozen=True)
class Bug:
    """A mistake that real code made, as a small change to ours.

    name, title · story: what happened, what it does to the numbers and to the pictures · where: the kinds of code it was found in ·
    edits: our lines and the wrong ones in their place · equations: numbers of those it breaks · urls: public threads about it ·
    model: what `run` trains, "vae", "iwae" for a bug of importance weights, "unet", "hourglass", or "clock" for nothing ·
    likelihood: of that model · note: what is simulated here, or simplified
    """

    name: str
    title: str
    story: str
    where: str
    edits: tuple
    equations: tuple = ()
    urls: tuple = ()
    model: str = "vae"
    likelihood: str = "bernoulli"
    note: str = ""

    def plant(self):
        """A private copy of the package that has this bug."""
        return PackageCopy(self.edits)

    def diff(self):
        """Each changed function as a unified diff, our lines to the wrong ones, computed from the source."""
        parts = []
        for file, function in dict.fromkeys((e.file, e.function) for e in self.edits):
            text = (ROOT / file).read_text(encoding="utf-8")
            wrong = edited(file, [e for e in self.edits if (e.file, e.function) == (file, function)])
            first, last = function_lines(text, function, file)
            before = text.splitlines()[first:last]
            first_wrong, last_wrong = function_lines(wrong, function, file)
            after = wrong.splitlines()[first_wrong:last_wrong]
            lines = list(difflib.unified_diff(before, after, n=CONTEXT, lineterm=""))[2:]
            changes = (line for line in lines if not line.startswith("@@"))
            parts += [f"scratchvae/{file}:{first + 1}  {function}", *changes, ""]
        return "\n".join(parts).rstrip("\n")
