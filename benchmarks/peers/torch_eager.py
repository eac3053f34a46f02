"""PyTorch, run eagerly: the way most people train a VAE."""

import functools
import itertools

import torch
from torch.nn import functional as F

from . import common

# weights: [W (O, I), b (O,)] of encoder, mu/logvar head, decoder and output, in this order, in one list of 8 tensors


def decode(weights, z):
    """z (B, latent) → logits (B, 784)"""
    return F.linear(F.relu(F.linear(z, *weights[4:6])), *weights[6:8])


def loss(weights, images, rows):
    """-ELBO in nats per image of images[rows]: uint8 (N, 784), int64 (B,) → scalar"""
    x = images.index_select(0, rows).to(torch.float32) * (1 / 255)
    mu, logvar = F.linear(F.relu(F.linear(x, *weights[:2])), *weights[2:4]).chunk(2, dim=1)
    z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
    nll = F.binary_cross_entropy_with_logits(decode(weights, z), x, reduction="sum")
    kl = -0.5 * (1 + logvar - mu * mu - logvar.exp()).sum()
    return (nll + kl) / len(rows)


def means(weights, n):
    """n prior samples → sigmoid means (n, 784)"""
    return torch.sigmoid(decode(weights, torch.randn(n, weights[4].shape[1])))


class TorchEager:
    """Eager PyTorch; fused chooses Adam's single-kernel update in place of the default one."""

    def __init__(self, fused=False):
        self.fused = fused
        self.versions = {"torch": torch.__version__}

    def setup(self, images, batch_size, hidden, latent, threads):
        torch.manual_seed(0)
        torch.set_flush_denormal(True)  # before the worker threads exist: they inherit it
        torch.set_num_threads(threads)
        self.images, self.batch_size = torch.from_numpy(images), batch_size
        order = common.batches(len(images), batch_size)
        self.rows = itertools.cycle([torch.from_numpy(next(order)) for _ in range(common.BATCHES)])
        self.weights = []
        for W, b in common.initial_weights(hidden, latent):
            self.weights += [torch.from_numpy(array).requires_grad_() for array in (W.T.copy(), b)]
        betas = (common.BETA1, common.BETA2)
        fused = self.fused or None  # None: torch chooses, which on a CPU is the foreach update
        self.adam = torch.optim.Adam(self.weights, common.LEARNING_RATE, betas, common.ADAM_EPSILON, fused=fused)
        self.loss, self.means = (functools.partial(function, self.weights) for function in (loss, means))

    def step(self, rows):
        self.adam.zero_grad(set_to_none=True)
        loss = self.loss(self.images, rows)
        loss.backward()
        self.adam.step()
        return loss.detach()

    def run_steps(self, n):
        for i in range(n):
            loss = self.step(next(self.rows))
            if (i + 1) % common.READ_EVERY == 0:
                float(loss)
        return float(loss)

    def epoch(self):
        order, total = torch.randperm(len(self.images)), torch.zeros(())
        for i, (start, stop) in enumerate(common.pieces(len(order), self.batch_size)):
            total += self.step(order[start:stop]) * (stop - start)
            if (i + 1) % common.READ_EVERY == 0:
                float(total)
        return float(total) / len(order)

    @torch.inference_mode()
    def evaluate(self, batch_size):
        rows, total = torch.from_numpy(common.evaluation_rows(len(self.images))), torch.zeros(())
        for start, stop in common.pieces(len(rows), batch_size):
            total += self.loss(self.images, rows[start:stop]) * (stop - start)
        return float(total) / len(rows)

    @torch.inference_mode()
    def sample(self, n, batch_size):
        return torch.cat([self.means(stop - start) for start, stop in common.pieces(n, batch_size)])
