"""PyTorch under torch.compile: gather, scaling, noise, loss and gradient in generated C++."""

import torch

from .torch_eager import TorchEager


class TorchCompiled(TorchEager):
    """torch.compile of the loss (its gradient comes with it) and of decoding; Adam fused, or compiled as well.

    Shapes are fixed at compile time (dynamic=False), so the short last batch is a second program, made in warm-up.
    """

    def __init__(self, mode="default", cpp_wrapper=False, compile_adam=False):
        super().__init__(fused=not compile_adam)
        self.mode, self.cpp_wrapper, self.compile_adam = mode, cpp_wrapper, compile_adam

    def setup(self, images, batch_size, hidden, latent, threads):
        super().setup(images, batch_size, hidden, latent, threads)
        from torch import _dynamo, _inductor

        _dynamo.reset()
        _dynamo.config.recompile_limit = 32  # batch size, short last batch, three evaluation sizes, with and without grad
        _inductor.config.cpp_wrapper = self.cpp_wrapper
        options = {"mode": self.mode, "dynamic": False, "fullgraph": True}
        self.loss = torch.compile(self.model.loss, **options)
        self.means = torch.compile(self.model.means, **options)
        if self.compile_adam:
            for group in self.adam.param_groups:
                group["lr"] = torch.tensor(group["lr"])  # a float would be baked in, and so would the step count
            self.update = torch.compile(self.adam.step, mode=self.mode, dynamic=False)
        else:
            self.update = self.adam.step

    def step(self, rows):
        self.adam.zero_grad(set_to_none=True)
        loss = self.loss(self.images, rows)
        loss.backward()
        self.update()
        return loss.detach()
