"""Anyone's layer, a plain class with forward and backward, seen as a Module, so that every check of ours can take it.

What a plain class must keep to:

    class MyLayer:
        def __init__(self, inputs, outputs): ...    # or one size; or nothing; or defaults for everything
        def forward(self, x): ...                   # x (B, inputs) → y, an array; remembers what backward needs
        def backward(self, dY): ...                 # dY in y's shape → dX in x's shape; leaves self.dW and self.db

- A parameter is an array of floats that stands on self after __init__, with its gradient beside it under the same name
with a d in
  front: W and dW, b and db, gamma and dgamma. W and b are always parameters; another array is one if its d… exists
  after __init__ or after backward. Layers held as attributes or in lists are looked into: their parameters are called
  "first.W", "layers.0.W" …
- forward and backward leave what they are given as it is, parameters included, and keep its dtype: float64 in, float64
out. If
  forward takes complex numbers too, it is measured to rounding error; if not, by differences.
- A random number comes from outside: the same x gives the same y.
- It may take and return several arrays, of any shapes: forward(x, t) → (y, s), backward(dY, dS) → (dX, dT).
`example(rows, seed)` then
  returns what forward takes, an array or a tuple; whole numbers are handed on and have no gradient. `input_gradient =
  False`, or a (True, False) with an answer for each input, says of which one no gradient is needed.
- The gradients are those of this dY and this x alone: backward writes self.dW anew, or adds it to what was there.
"""

import copy

import numpy as np

from ..errors import ConfigError
from ..nn import Module, Parameter
from .diagnose import as_numbers


class PlainLayer(Module):
    """A plain layer as a Module.   `raw`: {name: what backward left as that parameter's gradient}; `still`: arrays with
    no d…"""

    def __init__(self, layer, *inputs):
        """layer: an instance, which is left alone · inputs: what a copy of it is tried on, to see which gradients it
        writes"""
        self.layer, self._places, self.raw, self.still = copy.deepcopy(layer), [], {}, []
        for told in ("input_gradient", "example"):
            if hasattr(layer, told):
                setattr(self, told, getattr(layer, told))
        tried = dict(_owners(_tried(layer, inputs)))
        for path, owner in _owners(self.layer):
            for attribute, value in getattr(owner, "__dict__", {}).items():
                if not _is_float_array(value) or _is_gradient(attribute, owner):
                    continue
                has_gradient = hasattr(owner, f"d{attribute}") or hasattr(tried.get(path), f"d{attribute}")
                name = f"{path}.{attribute}" if path else attribute
                if attribute in ("W", "b") or has_gradient:
                    self._places.append((name, owner, attribute))
                    setattr(self, name, Parameter(value.shape, _keeps(value)))
                else:
                    self.still.append(name)

    def forward(self, *inputs):
        for name, owner, attribute in self._places:
            setattr(owner, attribute, getattr(self, name).value)
        y = self.layer.forward(*inputs)
        outputs = [as_numbers(each) for each in (y if isinstance(y, tuple) else [y])]
        if any(each is None for each in outputs):
            raise ConfigError("forward must return an array of numbers: is a `return` missing?")
        return tuple(outputs) if isinstance(y, tuple) else outputs[0]

    def backward(self, *gradients):
        """dY → dX. Writes each gradient that has the shape of its parameter; `raw` holds all."""
        dX = self.layer.backward(*gradients)
        self.raw = {}
        for name, owner, attribute in self._places:
            self.raw[name] = getattr(owner, f"d{attribute}", None)
            gradient, p = as_numbers(self.raw[name]), getattr(self, name)
            if gradient is not None and gradient.shape == p.shape:
                p.grad[...] = gradient
        return dX if dX is None or isinstance(dX, tuple) else np.asarray(dX)

    def rebound(self):
        """Names of parameters that the layer has given new values of its own since forward was called."""
        return [
            name
            for name, owner, attribute in self._places
            if not np.array_equal(getattr(owner, attribute), getattr(self, name).value)
        ]


def _tried(layer, inputs):
    """A copy of the layer after one forward and backward, as far as it came: what is wrong is found later."""
    tried = copy.deepcopy(layer)
    with np.errstate(all="ignore"):
        try:
            y = tried.forward(*(x.copy() for x in inputs))
            tried.backward(*map(np.ones_like, y if isinstance(y, tuple) else [y]))
        except Exception:
            return tried
    return tried


def _owners(layer, path="", seen=None):
    """[(path, layer)] of this layer and those it holds, as attributes or in lists."""
    seen = {id(layer)} if seen is None else seen
    found = [(path, layer)]
    for name, value in getattr(layer, "__dict__", {}).items():
        items = [(f".{i}", item) for i, item in enumerate(value)] if isinstance(value, (list, tuple)) else [("", value)]
        for suffix, item in items:
            if is_layer(item) and id(item) not in seen:
                seen.add(id(item))
                found += _owners(item, f"{path}.{name}{suffix}".lstrip("."), seen)
    return found


def parts_of(module):
    """{path: layer} of a Module and all that it is made of; of a plain layer, those that it holds."""
    return dict(_owners(module.layer)) if isinstance(module, PlainLayer) else dict(module.modules())


def is_layer(value):
    """True for an object, or a class, with a forward and a backward."""
    return all(callable(getattr(value, name, None)) for name in ("forward", "backward"))


def _is_float_array(value):
    return isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.size > 0


def _is_gradient(attribute, owner):
    return attribute.startswith("d") and hasattr(owner, attribute[1:])


def _keeps(value):
    kept = np.array(value, np.float64)
    return lambda shape, seed, index: kept
