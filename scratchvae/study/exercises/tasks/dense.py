"""dense: what a module adds to a pair of functions is memory, and memory can be wrong."""

from ..exam import Spec, Wrong, agrees
from .affine import SHAPES, affine, affine_backward
from .draws import draw, sized

TITLE = "a Dense module that remembers"
EQUATIONS = ("E4", "E5")
WRITE = ("Dense",)
HINTS = (
    "The mathematics is that of the exercise affine. What is new: backward is given dY alone. What else does it need, and "
    "who knew it?",
    "forward keeps a reference to its input on self. W is already there. Nothing else needs to be remembered.",
    "backward gives dX to its caller and leaves the two gradients on self. The next batch must find no trace of this one: "
    "assign, do not add.",
)


def run_forward(Dense, x, W, b):
    return Dense(W, b).forward(x)


def run_backward(Dense, dY, x, W, b):
    layer = Dense(W, b)
    layer.forward(x)
    return layer.backward(dY), _on(layer, "dW"), _on(layer, "db")


def _on(layer, name):
    if not hasattr(layer, name):
        raise Wrong(f"backward has left no self.{name}")
    return getattr(layer, name)


def known(dY, x, W, b):
    return {"db": [(dY.sum(axis=1), "sums over the columns, and should sum over the rows: b is added to each row")]}


def slope(call, dY, x, W, b):
    return {
        "dX": (lambda v: dY * call(v, W, b), x),
        "dW": (lambda v: dY * call(x, v, b), W),
        "db": (lambda v: dY * call(x, W, v), b),
    }


def two_batches(exam):
    """A layer that has seen a large batch gives a small one its own gradients, twice over."""
    W, b = draw(2, 3, 2), draw(3, 2)
    big, small = (draw(5, 4, 3), draw(6, 4, 2)), (draw(7, 2, 3), draw(8, 2, 2))

    def use(Dense, x, dY, later_x, later_dY):
        layer = Dense(W.copy(), b.copy())
        layer.forward(x)
        layer.backward(dY)
        layer.forward(later_x)
        return [(layer.backward(later_dY), _on(layer, "dW"), _on(layer, "db")) for _ in range(2)]

    first, second = exam.call("Dense", *big, *small, use=use)
    for moment, got in (("for a second batch", first), ("when backward is called twice for one batch", second)):
        for name, e, g in zip(("dX", "dW", "db"), affine_backward(small[1], small[0], W), got, strict=True):
            if not agrees(e, g):
                raise Wrong(f"{name} is wrong {moment}, though right for the first: does something stay from before, or is it added to?")
    return "two batches of different sizes, and backward twice"


def examine(exam):
    forward = sized("BIO", SHAPES, lambda b, i, o: (draw(1, b, i), draw(2, i, o), draw(3, o)))
    backward = sized("BIO", SHAPES, lambda b, i, o: (draw(4, b, o), draw(1, b, i), draw(2, i, o), draw(3, o)))
    forward_of = lambda call, *rest: slope(lambda *a: exam.call("Dense", *a, use=run_forward), *rest)
    names = "x", "W", "b"
    exam.examine(Spec("Dense", names, ("Y",), affine, forward, use=run_forward, label="Dense.forward"))
    exam.examine(Spec("Dense", ("dY", *names), ("dX", "dW", "db"), lambda dY, x, W, b: affine_backward(dY, x, W), backward, known,
                      forward_of, "Dense.forward", use=run_backward, label="Dense.backward"))  # fmt: skip
    exam.layer("Dense.backward", "a second batch", lambda: two_batches(exam), exam.failed("Dense.backward", "shapes and dtypes", "values"))
