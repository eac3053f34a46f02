"""The book as a site: sphinx-build -W --keep-going -b html docs docs/_build/html

Mathematics becomes MathML while building, by docutils, and its font lies in _static: a reader's browser fetches nothing, and a
formula that cannot be converted is a warning, which is an error. Three small hooks below; the pages are plain Markdown.
"""

import os
import re
import sys

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.util import logging

from scratchvae import __version__
from scratchvae.study.mathml import mathml

os.environ["NO_COLOR"], os.environ["COLUMNS"] = "1", "96"  # of the command line's help

project, author, release = "scratchvae", "the scratchvae authors", __version__
copyright = author
extensions = ["myst_parser"]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "scratchvae"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_math_renderer = "mathml"
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0060a0", "color-brand-content": "#0060a0"},
    "dark_css_variables": {"color-brand-primary": "#6cb8f0", "color-brand-content": "#6cb8f0"},
}

DEFINITION = re.compile(r"^> \*\*E(\d+) · ", re.MULTILINE)
# What stays as it is: fenced code, mathematics, inline code, links, headings.
PROTECTED = re.compile(r"(^```.*?^```$|\$\$.*?\$\$|\$[^$\n]+\$|`[^`\n]+`|\[[^\]\n]*\]\([^)\n]*\)|^#.*?$)", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"\bE(\d+)\b")


def link_equations(app, docname, source):
    """Where an equation is defined there is a target; every other mention of its number becomes a link to it."""
    parts = PROTECTED.split(DEFINITION.sub(r"(e\1)=\n> **Equation-\1 · ", source[0]))
    parts[::2] = [NUMBER.sub(r"[E\1](#e\1)", part) for part in parts[::2]]
    source[0] = "".join(parts).replace("**Equation-", "**E")


def visit_math(self, node):
    long = len(node.astext()) > 45  # too wide for a phone: there it scrolls by itself
    self.body.append('<span class="math-long">' if long else "")
    _append_math(self, node, block=False)
    self.body.append("</span>" if long else "")


def visit_math_block(self, node):
    self.body.append('<div class="math-block">')
    _append_math(self, node, block=True)
    self.body.append("</div>\n")


def _append_math(self, node, block):
    try:
        self.body.append(mathml(node.astext(), block))
    except Exception as error:  # MathError, and for some unfinished formulas others
        logging.getLogger(__name__).warning("not converted: %s (%s)", node.astext(), error, location=node)


def _skip(visit):
    def visitor(self, node):
        visit(self, node)
        raise nodes.SkipNode

    return visitor


class CommandLine(Directive):
    """The help of every command, as the program prints it."""

    def run(self):
        from scratchvae.cli import parser as command_line

        return [*self.sections(command_line())]

    def sections(self, parser):
        section = nodes.section(ids=[parser.prog.replace(" ", "-")], names=[parser.prog])
        section += nodes.title(text=parser.prog)
        section += nodes.literal_block(text=parser.format_help(), language="text")
        yield section
        for action in parser._actions:
            for sub in action.choices.values() if isinstance(action.choices, dict) else ():
                yield from self.sections(sub)


def setup(app):
    app.add_html_math_renderer("mathml", (_skip(visit_math), None), (_skip(visit_math_block), None))
    app.connect("source-read", link_equations)
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


sys.dont_write_bytecode = True
