"""MathML from the small part of LaTeX that our formulas use: browsers draw it, screen readers read it, no network needed.

Anything outside that part raises: a formula is never shown half translated.
"""

import re
from html import escape

from ...errors import ConfigError

_TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|\d+(?:\.\d+)?|[^\s]")

_LETTERS = {
    "mu": "μ",
    "sigma": "σ",
    "varepsilon": "ε",
    "epsilon": "ϵ",
    "theta": "θ",
    "beta": "β",
    "eta": "η",
    "pi": "π",
    "partial": "∂",
}
_OPERATORS = {
    "sum": "∑", "top": "⊤", "cdot": "·", "leftarrow": "←", "rightarrow": "→", "sim": "∼", "ge": "≥", "approx": "≈", "mid": "|",
    "odot": "⊙", "|": "‖", "{": "{", "}": "}",
}  # fmt: skip
_SPACES = {",": "0.17em", ";": "0.28em", "quad": "1em", "qquad": "2em"}
_FUNCTIONS = ("log", "ln", "exp", "tanh", "cos", "sin", "max", "min", "Im")


def mathml(latex):
    """One formula as a displayed <math> element, its LaTeX kept as an annotation. Raises ConfigError naming what is unknown."""
    parser = _Parser(latex)
    body = parser.row()
    if parser.rest:
        raise ConfigError(f"{latex!r}: nothing opens this {parser.rest[0]!r}")
    note = f'<annotation encoding="application/x-tex">{escape(latex)}</annotation>'
    return f'<math display="block"><semantics>{body}{note}</semantics></math>'


class _Parser:
    """Reads tokens from the left; each method takes what it names and returns its MathML."""

    def __init__(self, latex):
        self.latex, self.rest = latex, _TOKEN.findall(latex)

    def row(self, end=None):
        """Everything up to `end`, which is taken too."""
        items = []
        while self.rest and self.rest[0] not in ("}", r"\right"):
            items.append(self.scripted())
        if end is not None and self._take() != end:
            raise ConfigError(f"{self.latex!r}: {end!r} is missing")
        return f"<mrow>{''.join(items)}</mrow>"

    def scripted(self):
        """An atom with its ^ and _."""
        base, scripts = self.atom(), {}
        while self.rest and self.rest[0] in ("^", "_"):
            mark = self._take()
            scripts[mark] = self.atom()
        if len(scripts) == 2:
            return f"<msubsup>{base}{scripts['_']}{scripts['^']}</msubsup>"
        if "_" in scripts:
            tag = "munder" if "∑" in base else "msub"
            return f"<{tag}>{base}{scripts['_']}</{tag}>"
        return f"<msup>{base}{scripts['^']}</msup>" if scripts else base

    def atom(self):
        token = self._take()
        if token == "{":
            return self.row("}")
        if token[0] == "\\":
            return self.command(token[1:])
        if token[0].isdigit():
            return f"<mn>{token}</mn>"
        if token[0].isalpha():
            upright = ' mathvariant="normal"' if token == "d" else ""  # of "dW", a name and not a product
            return f"<mi{upright}>{token}</mi>"
        sign = {"-": "−", "'": "′"}.get(token, token)
        return f'<mo stretchy="false">{escape(sign)}</mo>'

    def command(self, name):
        if name in _LETTERS:
            return f"<mi>{_LETTERS[name]}</mi>"
        if name in _OPERATORS:
            return f'<mo stretchy="false">{_OPERATORS[name]}</mo>'
        if name in _SPACES:
            return f'<mspace width="{_SPACES[name]}"></mspace>'
        if name in _FUNCTIONS:
            return f'<mrow><mi>{name}</mi><mo>&#x2061;</mo><mspace width="0.12em"></mspace></mrow>'  # applied, not times
        if name in ("frac", "tfrac"):
            fraction = f"<mfrac>{self.atom()}{self.atom()}</mfrac>"
            return f'<mstyle displaystyle="false">{fraction}</mstyle>' if name == "tfrac" else fraction
        if name == "sqrt":
            return f"<msqrt>{self.atom()}</msqrt>"
        if name == "hat":
            return f"<mover>{self.atom()}<mo>^</mo></mover>"
        if name in ("mathrm", "mathcal", "text"):
            return self.word(name)
        if name == "left":
            left = escape(self._take())
            body = self.row(r"\right")
            return f"<mrow><mo>{left}</mo>{body}<mo>{escape(self._take())}</mo></mrow>"
        raise ConfigError(f"{self.latex!r}: unknown command {name!r}")

    def word(self, style):
        """The letters between braces, as one name."""
        if self._take() != "{":
            raise ConfigError(f"{self.latex!r}: {style} needs braces")
        letters = []
        while self.rest and self.rest[0] != "}":
            letters.append(self._take())
        self._take()
        text = escape("".join(letters))
        if style == "text":
            return f"<mtext>{text}</mtext>"
        script = {"L": "ℒ", "N": "𝒩"}
        return f'<mi mathvariant="normal">{script.get(text, text) if style == "mathcal" else text}</mi>'

    def _take(self):
        if not self.rest:
            raise ConfigError(f"{self.latex!r} ends too early")
        return self.rest.pop(0)
