"""What the checker says of forty wrong layers is true of them: the words it must find, and none that would mislead."""

import numpy as np
import pytest

from scratchvae import gradcheck
from scratchvae.checks import check_file
from scratchvae.errors import ConfigError
from scratchvae.nn import Module

UNKNOWN = "is wrong, and like none of the usual mistakes"

DENSE = """
import numpy as np
class Dense:
    def __init__(self, inputs, outputs):
        self.W = np.random.randn(inputs, outputs)
        self.b = np.zeros(outputs)
    def forward(self, x):
        self.x = x
        return x @ self.W + self.b
    def backward(self, dY):
        self.dW = self.x.T @ dY
        self.db = dY.sum(axis=0)
        return dY @ self.W.T
"""
AROUND = """
class Around:
    def __init__(self, size):
        self.layer = Dense(size, size)
    def forward(self, x):
        return x + self.layer.forward(x)
    def backward(self, dY):
        return dY + self.layer.backward(dY)
"""
TWICE = """
class Twice:
    def __init__(self, size):
        self.layer = Dense(size, size)
    def forward(self, x):
        return self.layer.forward(self.layer.forward(x))
    def backward(self, dY):
        return self.layer.backward(self.layer.backward(dY))
"""
NORM = """
import numpy as np
class Norm:
    def forward(self, x):
        self.s = np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
        self.y = (x - x.mean(axis=1, keepdims=True)) / self.s
        return self.y
    def backward(self, dY):
        mean = lambda a: a.mean(axis=1, keepdims=True)
        return (dY - mean(dY) - self.y * mean(dY * self.y)) / self.s
"""
SOFTMAX = """
import numpy as np
class Softmax:
    def forward(self, x):
        e = np.exp(x)
        self.y = e / e.sum(axis=1, keepdims=True)
        return self.y
    def backward(self, dY):
        return self.y * (dY - (dY * self.y).sum(axis=1, keepdims=True))
"""
KEEPS = """
import numpy as np
class Keeps:
    def __init__(self, columns):
        self.mean = np.zeros(columns)
        self.calls = 0
        self.rng = np.random.default_rng(0)
    def forward(self, x):
        self.factor = 2.0
        return x * self.factor
    def backward(self, dY):
        return dY * self.factor
"""


def bend(forward, backward):
    """A layer that works element by element: y from x, and dX from x, y and dY."""
    return f"""
import numpy as np
sigmoid = lambda a: 1 / (1 + np.exp(-a))
class Bend:
    def forward(self, x):
        self.x = x
        self.y = {forward}
        return self.y
    def backward(self, dY):
        x, y = self.x, self.y
        return {backward}
"""


def of(source, right, wrong):
    assert right in source
    return source.replace(right, wrong)


RIGHT = {"dense": DENSE, "a way around": DENSE + AROUND, "layer norm": NORM, "softmax": SOFTMAX, "scale": KEEPS}

WRONG = {
    # Normalisation: var and abs drop the imaginary part, so a backward that forgets the same path would agree with a complex step
    "layer norm without the variance": (of(NORM, " - self.y * mean(dY * self.y)", ""), "dX", UNKNOWN),
    "layer norm without the mean": (of(NORM, " - mean(dY)", ""), "dX", UNKNOWN),
    "layer norm by its scale alone": (of(NORM, "(dY - mean(dY) - self.y * mean(dY * self.y))", "dY"), "dX", UNKNOWN),
    "layer norm times s": (of(NORM, "mean(dY * self.y)) / self.s", "mean(dY * self.y)) * self.s"), "dX", UNKNOWN),
    "layer norm over rows": (of(NORM, "- mean(dY)", "- dY.mean(axis=0)"), "dX", UNKNOWN),
    "softmax by its diagonal": (of(SOFTMAX, "(dY - (dY * self.y).sum(axis=1, keepdims=True))", "(1 - self.y) * dY"), "dX", UNKNOWN),
    "softmax over rows": (of(SOFTMAX, ".sum(axis=1, keepdims=True))\n", ".sum(axis=0))\n"), "dX", UNKNOWN),
    "centred, and not in backward": (
        bend("x - x.mean(axis=1, keepdims=True)", "dY"), "dX", "is dY, handed on as it came",
    ),
    # What is called more often than it remembers
    "a dense layer called twice": (DENSE + TWICE, "forward", "calls layer 2 times: what it remembers for backward is of the last call"),
    "the way around forgotten": (DENSE + of(AROUND, "dY + self", "self"), "dX", "lacks dY itself: is the way around, x + …, forgotten?"),
    "the way around alone": (DENSE + of(AROUND, "dY + self.layer.backward(dY)", "(self.layer.backward(dY), dY)[1]"), "dX", "is dY, handed"),
    "the layer added to itself": (DENSE + of(AROUND, "return dY + self", "return 2 * self"), "dX", UNKNOWN),
    # State and noise
    "a running mean": (
        of(KEEPS, "return x * self.factor", "self.mean = 0.9 * self.mean + x.mean(axis=0)\n        return x * self.factor - self.mean"),
        "forward", "it changes self.mean in every call and depends on it in the next",
    ),
    "a counter": (
        of(KEEPS, "self.factor = 2.0", "self.calls += 1\n        self.factor = self.calls"),
        "forward", "it changes self.calls in every call",
    ),
    "a generator of its own": (of(KEEPS, "= 2.0", "= self.rng.random(x.shape)"), "forward", "noise must come from outside"),
    "NumPy's generator": (of(KEEPS, "= 2.0", "= np.random.random(x.shape)"), "forward", "noise must come from outside"),
    "memory of the first batch": (
        of(KEEPS, "= 2.0", "= self.__dict__.get('factor', x.sum())"), "dX", "is wrong for a second batch, though right for the first",
    ),
    # Bends
    "a sigmoid taken twice, and its slope once": (bend("sigmoid(sigmoid(x))", "dY * y * (1 - y)"), "dX", UNKNOWN),
    "a sigmoid of its value": (bend("sigmoid(x)", "dY * sigmoid(y) * (1 - sigmoid(y))"), "dX", UNKNOWN),
    "a sigmoid's slope at x": (bend("sigmoid(x)", "dY * x * (1 - x)"), "dX", UNKNOWN),
    "tanh without its square": (bend("np.tanh(x)", "dY * (1 - y)"), "dX", UNKNOWN),
    "tanh without dY": (bend("np.tanh(x)", "1 - y**2"), "dX", "does not depend on dY"),
    "tanh the other way": (bend("np.tanh(x)", "dY * (y**2 - 1)"), "dX", "has the wrong sign everywhere"),
    "a mask by dY": (bend("np.where(x.real > 0, x, 0)", "dY * (dY > 0)"), "dX", UNKNOWN),
    "a mask turned round": (bend("np.where(x.real > 0, x, 0)", "dY * (x.real < 0)"), "dX", "a mask the wrong way round?"),
    "no mask": (bend("np.where(x.real > 0, x, 0)", "dY"), "dX", "is dY, handed on as it came"),
    "another slope on the left": (bend("np.where(x.real > 0, x, x / 9)", "dY * np.where(x.real > 0, 1, 0)"), "dX", "is right in"),
    "a square without its 2": (bend("x**2", "dY * x"), "dX", "is half of what it should be everywhere"),
    "exp by the power rule": (bend("np.exp(x)", "dY * x * np.exp(x - 1)"), "dX", UNKNOWN),
    "sin for cos": (bend("np.sin(x)", "dY * np.sin(x)"), "dX", UNKNOWN),
    "a constant that is another": (bend("3 * x", "3.1 * dY"), "dX", "is 1.033 times what it should be everywhere: a constant factor"),
    "a constant with few digits": (bend("np.pi * x", "3.1416 * dY"), "dX", "is right to about 5 digits only"),
    "a constant in float32": (bend("x / 3", "dY * float(np.float32(1 / 3))"), "dX", "is right to about 7 digits only"),
    "a factor that depends on the batch": (bend("x * np.float64(len(x))", "dY * (len(x) + 1.5)"), "dX", UNKNOWN),
    "a running sum from the wrong end": (bend("np.cumsum(x, axis=1)", "np.cumsum(dY, axis=1)"), "dX", UNKNOWN),
    # Dense
    "db over columns": (of(DENSE, "dY.sum(axis=0)", "dY.sum(axis=1)"), "db", "has shape (5,) and should have (7,)"),
    "db over everything": (of(DENSE, "dY.sum(axis=0)", "dY.sum()"), "db", "is the sum over everything of the right array"),
    "dW over batch and outputs": (of(DENSE, "self.x.T @ dY", "self.x.T @ dY / dY.size"), "dW", "35, which is B · O: a mean where a sum"),
    "dW with weight decay": (of(DENSE, "self.x.T @ dY", "self.x.T @ dY + 0.01 * self.W"), "dW", UNKNOWN),
    "a bias that forward forgets": (of(DENSE, " + self.b", ""), "db", "should be 0 everywhere: forward does not depend on it"),
    "dX by the gradient of W": (of(DENSE, "dY @ self.W.T", "dY @ self.dW.T"), "dX", UNKNOWN),
    "the output remembered for the input": (of(DENSE, "self.x = x", "self.x = x @ self.W"), "dW", "has shape (7, 7) and should"),
}  # fmt: skip


def told(tmp_path, source):
    file = tmp_path / "layer.py"
    file.write_text(source, encoding="utf-8")
    name = [line.split()[1].split("(")[0].rstrip(":") for line in source.splitlines() if line.startswith("class ")][-1]
    return check_file(f"{file}:{name}", examples=2)


@pytest.mark.parametrize("what", RIGHT)
def test_a_right_layer_passes(tmp_path, what):
    report = told(tmp_path, RIGHT[what])
    assert report.ok, report


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_layer_is_told_in_words_that_are_true(tmp_path, what):
    source, tensor, words = WRONG[what]
    report = told(tmp_path, source)
    found = {f.tensor: f.words for f in report.findings}
    assert words in found.get(tensor, "nothing"), report


def test_what_holds_for_one_small_case_by_chance_is_told_nowhere(tmp_path):
    """A row of two numbers has two slopes of which one is minus the other: any wrong pair of that kind is a multiple of it."""
    report = told(tmp_path, WRONG["layer norm without the variance"][0])
    words = [f["words"] for f in report.to_dict()["smallest"]["findings"]] + [str(report)]
    assert not any("constant factor" in text for text in words)


class NormModule(Module):
    """Layer normalisation whose backward forgets the variance, and whose forward loses a complex step in var."""

    def forward(self, x):
        self.s = np.sqrt(x.var(axis=1, keepdims=True))
        return (x - x.mean(axis=1, keepdims=True)) / self.s

    def backward(self, dY):
        return (dY - dY.mean(axis=1, keepdims=True)) / self.s


def test_a_step_that_forward_loses_passes_no_backward_that_forgets_the_same():
    with pytest.raises(ConfigError, match="along a direction through input a difference gives"):
        gradcheck(NormModule())
    assert not gradcheck(NormModule(), method="difference").ok
