"""The written list of mutations, each a mistake that someone could make and believe in: written.txt, in blocks of

    # what it means
    scratchvae/training/step.py
    - the text that stands there, exactly once in the file (several lines: whole ones)
    + what is to stand there instead
"""

from pathlib import Path

from .rules import ROOT, Mutation, room_of

FILE = Path(__file__).with_name("written.txt")


def written():
    """Every mutation of the list. Raises ValueError for one that does not fit its file."""
    return [_read(block.splitlines()) for block in FILE.read_text(encoding="utf-8").split("\n\n") if block.strip()]


def _read(lines):
    means, name = lines[0].removeprefix("# "), lines[1]
    old, new = ("\n".join(line[2:] for line in lines[2:] if line[0] == sign).encode() for sign in "-+")
    text = (ROOT / name).read_bytes()
    if text.count(old) != 1:
        raise ValueError(f"{means}: the old text stands {text.count(old)} times in {name}, not once")
    start = text.index(old)
    line = text.count(b"\n", 0, start) + 1
    return Mutation(room_of(name), "written", name, "", line, start, start + len(old), old.decode(), new.decode(), means=means)
