"""PyTorch on a GPU, in each of the ways in which it is fast."""

import time

import torch
from torch.nn import functional as F

from . import gpu

VARIANTS = {
    "eager": "PyTorch eager, Adam as it comes (foreach)",
    "fused": "PyTorch eager, Adam(fused=True)",
    "compiled": "torch.compile of the loss in its CUDA-graph mode (reduce-overhead), Adam(fused=True)",
    "graph": "PyTorch, the whole step captured in one CUDA graph, Adam(fused=True, capturable=True)",
    "compiled-graph": "torch.compile of the loss, and the whole step captured in one CUDA graph",
}


class Peer:
    def __init__(self, images, hidden, latent, batch, tf32, variant):
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.versions, self.on_gpu = {"torch": torch.__version__}, self.device == "cuda"
        torch.manual_seed(0)
        torch.backends.cuda.matmul.allow_tf32 = tf32
        to = lambda array: torch.from_numpy(array).to(self.device)
        self.images, self.orders = to(images), to(gpu.orders(len(images), batch))
        self.counter = torch.zeros(1, dtype=torch.int64, device=self.device)
        self.split = gpu.sizes(images.shape[1], hidden, latent)[1]
        self.weights = []
        for W, b in gpu.weights(images.shape[1], hidden, latent):
            self.weights += [to(W.T.copy()).requires_grad_(), to(b).requires_grad_()]
        captured = variant.endswith("graph") and self.device == "cuda"
        fused = True if variant != "eager" and self.device == "cuda" else None
        self.adam = torch.optim.Adam(self.weights, 1e-3, fused=fused, capturable=captured)
        self.loss = self._loss
        if variant.startswith("compiled") and self.device == "cuda":
            mode = "reduce-overhead" if variant == "compiled" else "default"
            self.loss = torch.compile(self._loss, mode=mode, dynamic=False, fullgraph=True)
        self.last, self.step = None, self._step
        if captured:
            self._capture()

    def _network(self, x, first, last):
        for i in range(first, last):
            x = F.linear(x, self.weights[2 * i], self.weights[2 * i + 1])
            x = F.relu(x) if i < last - 1 else x
        return x

    def _loss(self, rows):
        x = self.images.index_select(0, rows).to(torch.float32) / 255
        mu, logvar = self._network(x, 0, self.split).chunk(2, dim=1)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        nll = F.binary_cross_entropy_with_logits(self._network(z, self.split, len(self.weights) // 2), x, reduction="sum")
        return (nll - 0.5 * (1 + logvar - mu * mu - logvar.exp()).sum()) / len(rows)

    def _step(self):
        rows = self.orders.index_select(0, self.counter)[0]
        self.counter.add_(1).remainder_(len(self.orders))
        self.adam.zero_grad(set_to_none=True)
        if self.loss is not self._loss:
            torch.compiler.cudagraph_mark_step_begin()
        loss = self.loss(rows)
        loss.backward()
        self.adam.step()
        self.last = loss.detach()

    def _capture(self):
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self._step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._step()
        self.step = graph.replay

    def run(self, n):
        for _ in range(n):
            self.step()

    def wait(self):
        return float(self.last)

    def timed(self, n):
        if self.device == "cpu":
            began = time.perf_counter()
            self.run(n)
            return (time.perf_counter() - began) * 1000
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        self.run(n)
        stop.record()
        stop.synchronize()
        return start.elapsed_time(stop)
