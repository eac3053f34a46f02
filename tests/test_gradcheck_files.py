"""Claims about checking anyone's file: right classes pass, each usual mistake is told in words, and what cannot be is refused."""

import builtins
import json
import subprocess
import sys

import numpy as np
import pytest

from scratchvae.checks import check_file
from scratchvae.checks.plain import PlainLayer
from scratchvae.errors import ConfigError

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

RELU = """
class ReLU:
    def forward(self, x):
        self.x = x
        return np.maximum(0, x)

    def backward(self, dY):
        return dY * (self.x > 0)
"""

MODULE = """
import numpy as np
from scratchvae.nn import Module, Parameter, init

class Scale(Module):
    def __init__(self, columns):
        self.s = Parameter((columns,), init.constant(1.0))

    def forward(self, x):
        self.x = x
        return x * self.s.value

    def backward(self, dY):
        np.sum(dY * self.x, axis=0, out=self.s.grad)
        return dY * self.s.value
"""


@pytest.fixture
def check(tmp_path):
    """check(source) → the FileReport of the last class in it. Every report must be fit for people and for JSON."""

    def check(source, name=None, **options):
        file = tmp_path / "layer.py"
        file.write_text(source, encoding="utf-8")
        name = (
            name or [line.split()[1].split("(")[0].rstrip(":") for line in source.splitlines() if line.startswith("class ")][-1]
        )
        report = check_file(f"{file}:{name}", **options)
        note = json.loads(json.dumps(report.to_dict(), allow_nan=False))
        assert note["ok"] is report.ok
        assert str(report).startswith(f"{name} of {file}: {'ok' if report.ok else 'FAIL'}")
        return report

    return check


# Right classes pass ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1])
def test_a_plain_dense_layer_passes_by_complex_steps(check, seed):
    report = check(DENSE, seed=seed)
    assert report.ok, report
    assert report.method == "complex"
    assert report.tensors == ("dX", "dW", "db")
    assert report.cases > 20
    assert "ok" in str(report)


RIGHT = {
    "without sizes": ("import numpy as np" + RELU, "complex", ("dX",)),
    "abs loses the imaginary part, so differences measure it": ("""
import numpy as np
class Abs:
    def forward(self, x):
        self.x = x
        return np.abs(x)
    def backward(self, dY):
        return dY * np.sign(self.x)
""", "difference", ("dX",)),
    "one that keeps complex numbers and loses the step": ("""
import numpy as np
class Abs:
    def forward(self, x):
        self.x = x
        return x * 0 + np.abs(x)
    def backward(self, dY):
        return dY * np.sign(self.x.real)
""", "difference", ("dX",)),
    "its own sizes, W (outputs, inputs)": ("""
import numpy as np
class Fixed:
    def __init__(self):
        self.W = np.ones((2, 4))
    def forward(self, x):
        self.x = x
        return x @ self.W.T
    def backward(self, dY):
        self.dW = dY.T @ self.x
        return dY @ self.W
""", "complex", ("dX", "dW")),
    "its own sizes, stated": ("""
import numpy as np
class Wavelet:
    inputs = 4
    def forward(self, x):
        return x.reshape(-1, 2, 2).sum(axis=2)
    def backward(self, dY):
        return np.repeat(dY, 2, axis=1)
""", "complex", ("dX",)),
    "layers in a list, sizes by keyword": (DENSE + RELU + """
class MLP:
    def __init__(self, in_features=4, n_hidden=5):
        self.layers = [Dense(in_features, n_hidden), ReLU(), Dense(n_hidden, 2)]
        self.me = self
    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x
    def backward(self, d):
        for layer in self.layers[::-1]:
            d = layer.backward(d)
        return d
    """, "complex", ("dX", "layers.0.dW", "layers.0.db", "layers.2.dW", "layers.2.db")),
    "a Module": (MODULE, "complex", ("dX", "ds")),
    "a Module of its own size": (
        MODULE.replace("self, columns", "self").replace("(columns,)", "(4,)"),
        "complex",
        ("dX", "ds"),
    ),
    "a layer of ours that gives no dX": ("""
from scratchvae import nn
class First(nn.Dense):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs, input_gradient=False)
""", "complex", ("dW", "db")),
    "a model": ("""
from scratchvae import VAE
class Small(VAE):
    def __init__(self, inputs):
        super().__init__(inputs, (), 2)
    """, "complex", ("encoder.0.dW", "encoder.0.db", "decoder.0.dW", "decoder.0.db")),
    "a model of its own size": ("""
from scratchvae import Autoencoder
class Small(Autoencoder):
    def __init__(self):
        super().__init__(4, (), 1)
    """, "complex", ("encoder.0.dW", "encoder.0.db", "decoder.0.dW", "decoder.0.db")),
}  # fmt: skip


@pytest.mark.parametrize("what", RIGHT)
def test_right_classes_pass(check, what):
    source, method, tensors = RIGHT[what]
    report = check(source, examples=10)
    assert report.ok, report
    assert (report.method, report.tensors) == (method, tensors)


def test_adding_to_the_gradient_is_allowed_and_said(check):
    report = check(DENSE.replace("self.b = np.zeros(outputs)", "self.b = np.zeros(outputs); self.dW = 0 * self.W; self.db = 0 * self.b")
                   .replace("self.dW = self.x", "self.dW += self.x").replace("self.db = dY", "self.db += dY"), examples=10)  # fmt: skip
    assert report.ok, report
    assert "backward adds to the gradients that are there" in str(report)


def test_an_array_without_a_gradient_is_held_still_and_said(check):
    report = check("""
import numpy as np
class Scale:
    def __init__(self, columns):
        self.s = np.ones(columns)
        self.mean = np.zeros(columns)
    def forward(self, x):
        self.x = x
        return (x - self.mean) * self.s
    def backward(self, dY):
        self.ds = (dY * (self.x - self.mean)).sum(axis=0)
        return dY * self.s
""")  # fmt: skip
    assert report.ok, report
    assert report.tensors == ("dX", "ds")
    assert "held still, for want of a gradient beside it: mean" in str(report)


# Each usual mistake is told in words -------------------------------------------------------------------------------------

MISTAKES = [
    # (what to replace in DENSE, by what, tensor, words, the smallest case that fails)
    ("self.x.T @ dY", "dY.T @ self.x", "dW", "the transposed is right", {"B": 1, "I": 1, "O": 2}),
    ("self.x.T @ dY", "self.x.T @ dY / len(dY)", "dW", "5, which is B: a mean where a sum was meant", {"B": 2, "I": 1, "O": 1}),
    ("dY.sum(axis=0)", "dY.mean(axis=0)", "db", "5, which is B: a mean where a sum was meant", {"B": 2, "I": 1, "O": 1}),
    ("return x @ self.W + self.b", "return (x @ self.W + self.b) / len(x)", "dW", "5, which is B: a sum where a mean was meant",
     {"B": 2, "I": 1, "O": 1}),
    ("return dY @ self.W.T", "return 2 * dY @ self.W.T", "dX", "is a factor ½ missing?", {"B": 1, "I": 1, "O": 1}),
    ("return dY @ self.W.T", "return -dY @ self.W.T", "dX", "has the wrong sign everywhere", {"B": 1, "I": 1, "O": 1}),
    ("return dY @ self.W.T", "return dY @ (self.W if inputs_are_outputs(self) else self.W.T)", "dX", "W stands the wrong way round",
     {"B": 1, "I": 2, "O": 2}),
    ("self.dW = self.x.T @ dY", "\n        for x, d in zip(self.x, dY):\n            self.dW = np.outer(x, d)", "dW",
     "is that of the last row alone, not accumulated", {"B": 2, "I": 1, "O": 1}),
    ("self.x.T @ dY", "np.outer(self.x[0], dY[0])", "dW", "is that of the first row alone", {"B": 2, "I": 1, "O": 1}),
    ("self.x.T @ dY", "self.x.T @ np.ones_like(dY)", "dW", "does not depend on dY", {"B": 1, "I": 1, "O": 1}),
    ("dY.sum(axis=0)", "dY", "db", "the sum over rows is missing", {"B": 1, "I": 1, "O": 1}),
    ("self.db = dY.sum(axis=0)", "pass", "db", "is not there: backward must leave it on self", {"B": 1, "I": 1, "O": 1}),
    ("self.db = dY.sum(axis=0)", "self.db = 'text'", "db", "is not an array of numbers", {"B": 1, "I": 1, "O": 1}),
    ("dY.sum(axis=0)", "np.exp(dY.sum(axis=0)) + self.b**2", "db", "is wrong, and like none of the usual mistakes",
     {"B": 1, "I": 1, "O": 1}),
    ("return dY @ self.W.T", "dY @ self.W.T", "dX", "is None: is a `return` missing?", {"B": 1, "I": 1, "O": 1}),
    ("return x @ self.W + self.b", "x -= x.mean(); return x @ self.W + self.b", "the input", "was modified in place",
     {"B": 1, "I": 1, "O": 1}),
    ("self.dW = self.x.T @ dY", "dY *= 2; self.dW = self.x.T @ dY", "dY", "was modified in place", {"B": 1, "I": 1, "O": 1}),
    ("self.db = dY.sum(axis=0)", "self.db = dY.sum(axis=0); self.W = self.W - self.dW", "W", "leave the update to the optimiser",
     {"B": 1, "I": 1, "O": 1}),
    ("self.db = dY.sum(axis=0)", "self.db = dY.sum(axis=0); self.b -= self.db", "b", "leave the update to the optimiser",
     {"B": 1, "I": 1, "O": 1}),
    ("return x @ self.W + self.b", "return (x @ self.W + self.b) * np.random.rand()", "forward", "noise must come from outside",
     {"B": 1, "I": 1, "O": 1}),
    ("self.dW = self.x.T @ dY", "self.dW = self.inputs.T @ dY", "backward", "no attribute 'inputs' at line 14", {"B": 1, "I": 1, "O": 1}),
    ("return x @ self.W + self.b", "return x @ self.W + np.log(0 * self.b)", "forward", "gave NaN or infinite", {"B": 1, "I": 1, "O": 1}),
    ("return x @ self.W + self.b", "return x @ self.W.T + self.b", "forward", "raised ValueError", {"B": 1, "I": 1, "O": 2}),
    ("        self.x = x\n", "        self.x = self.__dict__.get('x', x)\n", "a second batch", "made it raise ValueError",
     {"B": 1, "I": 1, "O": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "tensor", "words", "smallest"), MISTAKES)
def test_a_usual_mistake_is_told_in_words_and_brought_to_its_smallest_case(check, right, wrong, tensor, words, smallest):
    assert right in DENSE
    help = "\ndef inputs_are_outputs(layer):\n    return len(set(layer.W.shape)) == 1\n"
    report = check(DENSE.replace(right, wrong) + help, examples=25)
    told = {f.tensor: f.words for f in report.findings} | {f.tensor: f.words for f in report.examination.findings}
    assert words in ({f.tensor: f.words for f in report.findings}.get(tensor) or told[tensor]), report
    assert report.smallest == smallest, report
    assert "The smallest case that fails: B = " in str(report)


def test_the_smallest_case_shows_both_gradients(check):
    text = str(check(DENSE.replace("dY.sum(axis=0)", "dY.mean(axis=0)")))
    assert "db, yours = " in text
    assert "db, measured = " in text
    assert text.count("dW, yours") == 0  # what is right is not shown


def test_a_mistake_is_seen_by_differences_too(check):
    report = check("""
import numpy as np
class Abs:
    def forward(self, x):
        self.x = x
        return np.abs(x)
    def backward(self, dY):
        return 2 * dY * np.sign(self.x)
""")  # fmt: skip
    assert report.method == "difference"
    assert [str(f) for f in report.findings] == ["dX is twice too large everywhere: is a factor ½ missing?"]


def test_a_layer_that_remembers_an_earlier_batch_is_told(check):
    report = check("""
import numpy as np
class Centre:
    def __init__(self):
        self.seen = 0
    def forward(self, x):
        return x * 3
    def backward(self, dY):
        self.seen += 1
        return dY * 3 * (self.seen < 2)
""")  # fmt: skip
    assert report.findings[0].tensor == "dX"
    assert "wrong for a second batch, though right for the first" in report.findings[0].words


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("self.s.grad += (dY * self.x).sum(0)", "ds is wrong: backward did not write this gradient, or added to it"),
        ("self.s.grad = (dY * self.x).sum(0)", "ds is wrong: backward bound .grad to a new array"),
        (
            "self.s.grad[...] = (dY * self.x).mean(0)",
            "ds is too small by a factor of 5, which is B: a mean where a sum was meant?",
        ),
        ("self.s.grad[...] = dY * self.x", "backward raised ValueError: could not broadcast"),
    ],
)
def test_a_module_of_ours_is_held_to_its_own_rules(check, wrong, words):
    report = check(MODULE.replace("np.sum(dY * self.x, axis=0, out=self.s.grad)", wrong), examples=10)
    assert not report.ok
    assert str(report.findings[0]).startswith(words)


def test_a_wrong_model_is_told_what_is_wrong_with_it(check):
    report = check("""
from scratchvae import VAE
class Forgetful(VAE):
    def __init__(self, inputs):
        super().__init__(inputs, (), 2)
    def backward(self, dreconstruction, dkl):
        super().backward(2 * dreconstruction, 2 * dkl)
""", examples=3)  # fmt: skip
    assert {f.words for f in report.findings} == {"is twice too large everywhere: is a factor ½ missing?"}
    assert {"dY of output 1", "dY of output 2", "input 1", "input 2"} <= set(report.examination.given)


SEVERAL = """
import numpy as np
from scratchvae import nn
class Embed:
    input_gradient = False
    def __init__(self, outputs):
        self.W = np.random.randn(4, outputs)
    def example(self, rows, seed):
        return np.random.default_rng(seed).integers(0, 4, (rows, 3))
    def forward(self, k):
        self.k = k
        return self.W[k]
    def backward(self, dY):
        self.dW = np.zeros(self.W.shape)
        np.add.at(self.dW, self.k, dY)
class Channels:
    def __init__(self):
        self.gamma, self.dgamma = np.ones(2), 0
    def example(self, rows, seed):
        return np.random.default_rng(seed).normal(size=(rows, 3, 5, 2))
    def forward(self, x):
        self.x = x
        return x * self.gamma
    def backward(self, dY):
        self.dgamma = (dY * self.x).sum(axis=(0, 1, 2))
        return dY * self.gamma
class Two:
    def example(self, rows, seed):
        random = np.random.default_rng(seed)
        return random.normal(size=(rows, 3)), random.normal(size=rows)
    def forward(self, x, t):
        self.x, self.t = x, t[:, None]
        return x * self.t, x.sum(axis=1)
    def backward(self, dY, ds):
        return dY * self.t + ds[:, None], (dY * self.x).sum(axis=1)
class Drop(nn.Dropout):
    def __init__(self):
        super().__init__(0.4)
    def backward(self, dY):
        return super().backward(dY)
"""


@pytest.mark.parametrize("name", ["Embed", "Channels", "Two", "Drop"])
def test_a_layer_of_whole_numbers_of_images_of_several_inputs_and_of_two_modes_passes(check, name):
    report = check(SEVERAL, name, examples=3)
    assert report.ok, report


@pytest.mark.parametrize(
    ("name", "right", "wrong", "tensor", "words"),
    [
        ("Embed", "np.add.at(self.dW, self.k, dY)", "self.dW[self.k] += dY", "dW", "is "),
        ("Channels", "sum(axis=(0, 1, 2))", "sum(axis=(0, 1))", "dgamma", "has shape (5, 2) and should have (2,)"),
        ("Two", " + ds[:, None]", "", "dX 1", "leaves dY of output 2 out: the gradients of all outputs add up"),
        ("Two", "return dY * self.t +", "self.t *= 2; return dY * self.t / 2 +", "the input 2", "was modified in place"),
        ("Two", ", (dY * self.x).sum(axis=1)", ", None", "dX 2", "is None"),
        ("Drop", "return super().backward(dY)", "return dY", "dX", "is dY, handed on as it came"),
    ],
)
def test_what_is_wrong_with_one_of_several_is_told_by_its_name(check, name, right, wrong, tensor, words):
    assert SEVERAL.count(right) == 1
    report = check(SEVERAL.replace(right, wrong), name, examples=3)
    assert words in {f.tensor: f.words for f in report.findings}.get(tensor, "nothing"), report


# What cannot be is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "name", "words"),
    [
        (DENSE, "Dens", "has no Dens: did you mean Dense?"),
        (DENSE, "Other", "has no Other: it holds Dense"),
        (DENSE, "np", "np in .* is not a class with forward and backward; it holds Dense"),
        ("x = 1", "Dense", "has no Dense: it holds no class"),
        ("import nothing_of_the_kind", "Dense", "could not be run: ModuleNotFoundError"),
        ("raise SystemExit(3)", "Dense", "could not be run: SystemExit"),
        ("def", "Dense", "could not be run: SyntaxError"),
        (DENSE.replace("inputs, outputs):", "a, b, c):"), "Dense", "asks for 3 arguments. A class to check takes"),
        (DENSE.replace("np.zeros(outputs)", "np.zeros(-outputs)"), "Dense", r"Dense\(inputs=3, outputs=7\) raised Val.* at line 7"),
        (DENSE.replace("return x @ self.W + self.b", "return np.float32(x @ self.W + self.b)"), "Dense", "Dense.forward returned float32"),
        (DENSE.replace("return x @ self.W + self.b", "x @ self.W"), "Dense", "is a `return` missing"),
        (DENSE.replace("self, inputs, outputs", "self, inputs=3").replace("outputs)", "2000)"), "Dense", "8,000 parameters at sizes"),
    ],
)  # fmt: skip
def test_what_cannot_be_checked_is_said_in_one_line(check, source, name, words):
    with pytest.raises(ConfigError, match=words) as caught:
        check(source, name)
    assert "\n" not in str(caught.value)


def test_the_only_class_of_a_file_needs_no_name(tmp_path):
    (tmp_path / "one.py").write_text(DENSE)
    (tmp_path / "two.py").write_text(DENSE + RELU)
    assert check_file(tmp_path / "one.py", examples=5).name == "Dense"
    with pytest.raises(ConfigError, match=r"which class of .*two.py\? It holds Dense, ReLU"):
        check_file(tmp_path / "two.py")
    with pytest.raises(ConfigError, match="there is no file"):
        check_file(tmp_path / "three.py:Dense")


def test_a_file_may_import_its_neighbour_and_print(tmp_path, capsys):
    (tmp_path / "my_neighbour_of_dense.py").write_text(DENSE)
    (tmp_path / "layer.py").write_text(
        "from my_neighbour_of_dense import Dense\nprint('hello')\nclass Mine(Dense):\n    pass\n"
    )
    path = list(sys.path)
    assert check_file(f"{tmp_path}/layer.py:Mine", examples=5).ok
    assert sys.path == path
    assert capsys.readouterr().out == ""
    sys.modules.pop("my_neighbour_of_dense")


def test_a_layer_is_left_alone():
    class Layer:
        def __init__(self):
            self.W = np.ones((2, 2))

        def forward(self, x):
            return x @ self.W

        def backward(self, dY):
            raise RuntimeError

    layer = Layer()
    PlainLayer(layer, np.ones((1, 2)))
    assert vars(layer).keys() == {"W"}


def test_without_hypothesis_the_remedy_is_named(monkeypatch, tmp_path):
    real = builtins.__import__

    def no_hypothesis(name, *rest):
        if name.startswith("hypothesis"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", no_hypothesis)
    with pytest.raises(ConfigError, match=r"pip install 'scratchvae\[test\]'"):
        check_file(tmp_path / "layer.py:Dense")


def test_hypothesis_is_not_imported_before_it_is_needed():
    code = "import sys, scratchvae.checks; print('hypothesis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_the_same_seed_gives_the_same_report(check):
    wrong = DENSE.replace("dY.sum(axis=0)", "dY.mean(axis=0)")
    assert str(check(wrong, seed=5, examples=10)) == str(check(wrong, seed=5, examples=10))
