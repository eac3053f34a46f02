"""PyTorch under torch.compile: generated C++ around MKL's matrix products.

Two ways are raced. `whole_step=False` is what most people write: compile the loss (its gradient comes with it) and call
a ready-made optimiser. `whole_step=True` is the fastest that we could find on CPUs: gather, scaling, noise, loss,
gradient and the update of Adam in one graph, which spares the optimiser's and autograd's Python and one pass over the
gradients. The update is written out because the graph cannot hold torch.optim's fused kernel.
"""

import functools

import torch

from . import common
from .torch_eager import TorchEager, loss, means


class TorchCompiled(TorchEager):
    """Shapes are fixed at compile time (dynamic=False): the short last batch is a second program, made in warm-up."""

    def __init__(self, whole_step=True, mode="default", cpp_wrapper=False):
        super().__init__(fused=True)
        self.whole_step, self.mode, self.cpp_wrapper = whole_step, mode, cpp_wrapper

    def setup(self, images, batch_size, hidden, latent, threads):
        super().setup(images, batch_size, hidden, latent, threads)
        from torch import _dynamo, _inductor

        _dynamo.config.recompile_limit = 32  # full and short batch, three evaluation sizes and their last pieces
        _inductor.config.cpp_wrapper = self.cpp_wrapper
        compiled = functools.partial(torch.compile, mode=self.mode, dynamic=False, fullgraph=True)
        if self.whole_step:
            self.weights = [w.detach() for w in self.weights]
            self.m, self.v = ([torch.zeros_like(w) for w in self.weights] for _ in range(2))
            # The bias corrections are worked out outside, or the graph computes their powers again for every parameter.
            self.updates, self.rate, self.root = 0, torch.zeros(()), torch.zeros(())
            self.compiled_step = compiled(whole_step)
            self.step = self.call_whole_step
        self.loss = functools.partial(compiled(loss), self.weights)
        self.means = functools.partial(compiled(means), self.weights)

    def call_whole_step(self, rows):
        self.updates += 1
        self.rate.fill_(common.LEARNING_RATE / (1 - common.BETA1**self.updates))
        self.root.fill_((1 - common.BETA2**self.updates) ** -0.5)
        return self.compiled_step(self.weights, self.m, self.v, self.rate, self.root, self.images, rows)


def whole_step(weights, m, v, rate, root, images, rows):
    """One training step in place → loss.   m, v: as weights · rate (): lr / (1 - β1^t) · root (): 1 / √(1 - β2^t)"""
    gradients, value = torch.func.grad_and_value(loss)(weights, images, rows)
    for p, g, m_, v_ in zip(weights, gradients, m, v, strict=True):
        m_.mul_(common.BETA1).add_(g, alpha=1 - common.BETA1)
        v_.mul_(common.BETA2).addcmul_(g, g, value=1 - common.BETA2)
        p.sub_(rate * m_ / (v_.sqrt() * root + common.ADAM_EPSILON))
    return value
