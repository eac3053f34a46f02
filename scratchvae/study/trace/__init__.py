"""The microscope: one training step, told step by step, as one HTML page that needs no network.

from scratchvae.study.trace import make_trace, write_html
write_html(make_trace("tiny"), "trace.html")
"""

from .make import make_trace
from .page import write_html
from .parts import Meeting, Step, Trace, Value
from .steps import trace

__all__ = ["Meeting", "Step", "Trace", "Value", "make_trace", "trace", "write_html"]
