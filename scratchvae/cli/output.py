"""Standard output and error as a command finds them: a terminal, a file, a pipe whose reader has gone, a full disk,
closed, or in an encoding without β. Whatever they are, a print says what it can and never stops the work."""

import codecs
import os
import re
import sys
import unicodedata
from contextlib import contextmanager

from ..errors import printable

ASCII = {
    **dict.fromkeys("−‐–—─", "-"), **dict.fromkeys("┌┐└┘├┤┬┴┼", "+"), "│": "|", "‖": "||", "→": "->", "←": "<-",
    "↑": "^", "⊤": "T",
    "·": ".", "×": "x", "⊙": "*", "●": "*", "±": "+-", "√": "sqrt", "∛": "cbrt", "∂": "d", "∇": "grad ", "∑": "sum",
    "∞": "inf", "⁄": "/",
    "≥": ">=", "≤": "<=", "≠": "!=", "≈": "~", "∼": "~", "′": "'", "“": '"', "”": '"', "‘": "'", "’": "'", "⌊": "[",
    "⌋": "]", "÷": "/", "∩": "and", "∪": "or", "⌈": "[", "⌉": "]", "⟨": "<", "⟩": ">",
    "ˆ": "^", "\u0302": "^", "\u0303": "~",
}  # fmt: skip
MARKS = {"<super>": "^", "<sub>": "_"}
LIMIT = 500  # characters of an error message



def transliterate(text):
    """What text says in ASCII: "−ELBO" as "-ELBO", "σ²" as "sigma^2", and what has no such word by its number,
    "\\xe9"."""
    written, raised = [], ""
    for character in text:
        kind, *parts = unicodedata.decomposition(character).split() or [""]
        greek = re.fullmatch(r"GREEK (SMALL|CAPITAL) LETTER (\w+)", unicodedata.name(character, ""))
        if character.isascii() or character in ASCII:
            word = ASCII.get(character, character)
        elif greek:
            word = greek[2].lower().replace("lamda", "lambda")
            word = word.capitalize() if greek[1] == "CAPITAL" else word
        elif kind.startswith("<"):
            word = transliterate("".join(chr(int(part, 16)) for part in parts))
            word = word if MARKS.get(kind, "") == raised else MARKS.get(kind, "") + word  # one mark for all of x⁻¹
        else:
            word = character.encode("ascii", "backslashreplace").decode("ascii")
        raised = MARKS.get(kind, "")
        written.append(word)
    return "".join(written)


codecs.register_error("scratchvae", lambda error: (transliterate(error.object[error.start : error.end]), error.end))


def one_line(text):
    """The text of an error on one line of at most LIMIT characters, whatever names it quotes."""
    text = printable(text.strip())
    return text if len(text) <= LIMIT else f"{text[: LIMIT // 2 - 3]} ... {text[-LIMIT // 2 + 2 :]}"


class Output:
    """A standard stream that takes any text, shows controls in place of obeying them, and goes on when nobody can read
    it.

    error: what first kept text from being written, other than a reader who has seen enough; or None.
    """

    def __init__(self, stream):
        self.stream, self.error = stream, None

    def write(self, text):
        text = "".join(part if part in "\n\r\t" else printable(part) for part in re.split("([\n\r\t])", text))
        if self.stream.encoding:  # that of a StringIO is None: it takes everything
            text = text.encode(self.stream.encoding, "scratchvae").decode(self.stream.encoding)
        self._attempt(self.stream.write, text)
        return len(text)

    def flush(self):
        self._attempt(self.stream.flush)

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def _attempt(self, function, *arguments):
        try:
            function(*arguments)
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                self.error = self.error or error
            nowhere = os.open(os.devnull, os.O_WRONLY)  # for what is still in the buffer, and for all that follows
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)


@contextmanager
def standard_streams():
    """Gives sys.stdout as an `Output`, for as long as the block lasts; sys.stderr is one too, and what is closed is the
    null device."""
    before = sys.stdin, sys.stdout, sys.stderr
    opened = []
    # in this order: each takes the lowest free descriptor
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            opened.append(open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 (closed when the block ends)
            setattr(sys, name, opened[-1])
    sys.stdout, sys.stderr = Output(sys.stdout), Output(sys.stderr)
    try:
        yield sys.stdout
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdin, sys.stdout, sys.stderr = before
        for file in opened:
            file.close()
