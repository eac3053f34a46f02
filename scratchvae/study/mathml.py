"""A formula as MathML, for the book's site and the microscope: docutils translates it, and what TeX sets otherwise is mended here."""

import re

from docutils.utils.math.latex2mathml import tex2mathml

THIN = '<mspace width="0.1667em"></mspace>'
MENDED = [
    (r' xmlns="[^"]+"', ""),  # HTML needs none
    (r"<mo>(max|min)</mo>", r"<mi>\1</mi>"),  # a name, without the wide spaces of an operator
    (r"<mo>&ApplyFunction;</mo>(?=\s*<m(?!o))", THIN),  # thin spaces around "log"
    (r"(</m(?:i|n|sub|sup|subsup|frac)>)(?=\s*<mi>(?:log|exp|ln|cos|sin|tanh|tr|det|max|min)</mi>)", rf"\1{THIN}"),
    (r"<mo(?: class=\"math\w+\")?>‖</mo>", '<mo stretchy="false">‖</mo>'),  # the bars of a divergence keep their height
    (r"<mo(?: class=\"math\w+\")?>\|</mo>", "<mi>|</mi>"),  # an absolute value's stand close
    (r"<mo>'</mo>", "<mo>′</mo>"),
    (r">ˆ</mo>", ">^</mo>"),  # the other one lies on its letter where the system has no font for formulas
]


def mathml(latex, block=True):
    """A formula in LaTeX → a <math> element, displayed by itself or (block=False) within a line

    Raises docutils' MathError, and for some unfinished formulas others, for what it cannot translate.
    """
    latex = re.sub(r"\\frac(\d)(\d)", r"\\frac{\1}{\2}", latex.strip())  # of two digits docutils makes one number
    text = tex2mathml(latex, as_block=block)
    for pattern, mended in MENDED:
        text = re.sub(pattern, mended, text)
    return text
