"""PyTorch under torch.compile: generated C++ around MKL's matrix products.

Two ways are raced. `whole_step=False` is what most people write: compile the loss (its gradient comes with it) and call
a ready-made optimiser. `whole_step=True` is the fastest that we could find on CPUs: gather, scaling, noise, loss,
gradient and the update of Adam in one graph, which spares the optimiser's and autograd's Python and one pass over the
gradients. The update is written out because the graph cannot hold torch.optim's fused kernel.
"""

import torch

from . import common
from .torch_eager import TorchEager


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
        options = {"mode": self.mode, "dynamic": False, "fullgraph": True}
        self.loss = torch.compile(self.model.loss, **options)
        self.means = torch.compile(self.model.means, **options)
        if self.whole_step:
            self.weights = dict(self.model.named_parameters())
            self.m, self.v = ({n: torch.zeros_like(p) for n, p in self.weights.items()} for _ in range(2))
            self.t = torch.zeros(())
            self.update = torch.compile(self.update, **options)
            self.step = self.call_update

    @torch.no_grad()
    def update(self, weights, m, v, t, images, rows):
        """One step in place → loss. t (): updates done before this one"""

        def loss(weights):
            return torch.func.functional_call(self.model, weights, (images, rows))

        gradients, value = torch.func.grad_and_value(loss)(weights)
        t.add_(1)
        correct_m, correct_v = (1 - torch.pow(beta, t) for beta in (common.BETA1, common.BETA2))
        for name, g in gradients.items():
            m[name].mul_(common.BETA1).add_(g, alpha=1 - common.BETA1)
            v[name].mul_(common.BETA2).addcmul_(g, g, value=1 - common.BETA2)
            scale = (v[name] / correct_v).sqrt() + common.ADAM_EPSILON
            weights[name].sub_(common.LEARNING_RATE * (m[name] / correct_m) / scale)
        return value

    def call_update(self, rows):
        return self.update(self.weights, self.m, self.v, self.t, self.images, rows)
