"""The same convolutional networks in PyTorch, eager or with their loss compiled, in both of its memory formats."""

import functools
import itertools

import torch
from torch.nn import functional as F

from . import common, conv_common
from .torch_eager import TorchEager


def seen(images, rows):
    """uint8 (N, 784), int64 (B,) → (B, 1, 28, 28) in [0, 1]"""
    return images.index_select(0, rows).to(torch.float32).mul(1 / 255).view(-1, 1, 28, 28)


def vae(w, images, rows):
    """w: [W, b] of each layer in the order of conv_common, one list → −ELBO in nats per image"""
    x = seen(images, rows)
    h = F.relu(F.conv2d(F.relu(F.conv2d(x, *w[0:2], 2, 1)), *w[2:4], 2, 1))
    mu, logvar = F.linear(h.flatten(1), *w[4:6]).chunk(2, dim=1)
    z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
    h = F.relu(F.linear(z, *w[6:8])).view(-1, 64, 7, 7)
    logits = F.conv_transpose2d(F.relu(F.conv_transpose2d(h, *w[8:10], 2, 1)), *w[10:12], 2, 1)
    nll = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    return (nll - 0.5 * (1 + logvar - mu * mu - logvar.exp()).sum()) / len(rows)


def unet(w, images, rows):
    """→ squared error per image"""
    x = seen(images, rows)
    two = lambda i, h: F.relu(F.conv2d(F.relu(F.conv2d(h, *w[i : i + 2], 1, 1)), *w[i + 2 : i + 4], 1, 1))
    a = two(0, x)
    b = two(4, F.max_pool2d(a, 2))
    m = two(8, F.max_pool2d(b, 2))
    e = two(14, torch.cat([b, F.conv_transpose2d(m, *w[12:14], 2)], 1))
    y = F.conv2d(two(20, torch.cat([a, F.conv_transpose2d(e, *w[18:20], 2)], 1)), *w[24:26])
    return ((y - x) ** 2).sum() / len(rows)


class ConvTorch(TorchEager):
    """Adam as it comes; channels_last is PyTorch's name for our order of an image's numbers."""

    def __init__(self, channels_last=False, compiled=False):
        super().__init__()
        self.format, self.compiled = torch.channels_last if channels_last else torch.contiguous_format, compiled

    def setup(self, images, batch_size, net, threads):
        torch.manual_seed(0)
        torch.set_flush_denormal(True)
        torch.set_num_threads(threads)
        self.images, self.batch_size = torch.from_numpy(images), batch_size
        order = common.batches(len(images), batch_size)
        self.rows = itertools.cycle([torch.from_numpy(next(order)) for _ in range(common.BATCHES)])
        self.weights = []
        for W, size in zip(conv_common.weights(net), conv_common.outputs(net), strict=True):
            self.weights += [self.theirs(W).requires_grad_(), torch.zeros(size, requires_grad=True)]
        betas = (common.BETA1, common.BETA2)
        self.adam = torch.optim.Adam(self.weights, common.LEARNING_RATE, betas, common.ADAM_EPSILON)
        loss = vae if net == "conv-vae" else unet
        self.loss = functools.partial(torch.compile(loss, dynamic=False, fullgraph=True) if self.compiled else loss, self.weights)

    def theirs(self, W):
        """A weight of ours as PyTorch takes it. It flattens images channel by channel, and keeps dense weights as (O, I)."""
        if W.ndim == 4:
            return torch.from_numpy(W.transpose(3, 2, 0, 1).copy()).contiguous(memory_format=self.format)
        if W.shape[0] == 3136:
            return torch.from_numpy(W.reshape(49, 64, -1).swapaxes(0, 1).reshape(W.shape).T.copy())
        return torch.from_numpy(W.reshape(-1, 49, 64).swapaxes(1, 2).reshape(W.shape).T.copy())
