"""The contestants. Each is a small class in a file of its own, imported only inside its own worker process.

A peer offers
    versions                                             {"library": "version"}
    setup(images, batch_size, hidden, latent, threads)   images: uint8 (N, 784), from then on resident
    run_steps(n) -> float | None                         n training steps; the loss of the last in nats per image
    epoch() -> float | None                              a shuffle and all its steps, the short last batch included
    evaluate(batch_size) -> float | None                 -ELBO in nats per image over EVALUATED images, z sampled
    sample(n, batch_size)                                n decoded images from the prior, as sigmoid means
and returns None for a loss that it does not compute.
"""

import importlib

from . import common as common

# name: (module, class, settings, what it is)
PEERS = {
    "ours": ("ours", "Ours", {}, "scratchvae: NumPy, derivatives by hand, sharded over threads"),
    "torch": ("torch_eager", "TorchEager", {}, "PyTorch eager, torch.optim.Adam as it comes (foreach)"),
    "torch-fused": ("torch_eager", "TorchEager", {"fused": True}, "PyTorch eager, Adam(fused=True)"),
    "torch-compile-loss": (
        "torch_compiled",
        "TorchCompiled",
        {"whole_step": False},
        "torch.compile of loss and gradient, Adam(fused=True)",
    ),
    "torch-compile": ("torch_compiled", "TorchCompiled", {}, "torch.compile of the whole step, Adam written out"),
    "torch-compile-cpp": ("torch_compiled", "TorchCompiled", {"cpp_wrapper": True}, "torch-compile with the C++ wrapper"),
    "torch-compile-max": (
        "torch_compiled",
        "TorchCompiled",
        {"mode": "max-autotune-no-cudagraphs"},
        "torch-compile with max-autotune",
    ),
    "jax": ("jax_jit", "Jax", {}, "JAX, whole step jitted, buffers donated"),
    "jax-scan": ("jax_jit", "Jax", {"chunk": 50}, "jax with lax.scan over 50 steps in one call"),
    "jax-rbg": ("jax_jit", "Jax", {"generator": "unsafe_rbg"}, "jax with its cheapest generator"),
    "matmul": ("matmul_only", "MatmulOnly", {}, "only the eleven matrix products, multi-threaded BLAS"),
    "matmul-shards": (
        "matmul_only",
        "MatmulOnly",
        {"sharded": True},
        "only the eleven matrix products, one single-threaded BLAS per thread",
    ),
}
DEFAULT = ["ours", "torch", "torch-fused", "torch-compile-loss", "torch-compile", "jax", "matmul", "matmul-shards"]

# The contestants of benchmarks/convolution.py: setup(images, batch_size, net, threads), and of the rest run_steps alone.
CONVOLUTIONS = {
    "conv-ours": ("conv_ours", "ConvOurs", {}, "scratchvae's layers and its training step, one shard per thread"),
    "conv-torch": ("conv_torch", "ConvTorch", {}, "PyTorch eager, channels first"),
    "conv-torch-cl": ("conv_torch", "ConvTorch", {"channels_last": True}, "PyTorch eager, channels last"),
    "conv-torch-compile": ("conv_torch", "ConvTorch", {"compiled": True}, "torch.compile of loss and gradient"),
    "conv-jax": ("conv_jax", "ConvJax", {}, "JAX, whole step jitted, buffers donated"),
}


def plain(name):
    """'ours@mkl' → 'ours': what stands behind the @ says whose Python runs it, not what it is."""
    return name.partition("@")[0]


def load(name):
    """Import a peer and make it. Raises KeyError for an unknown name and ImportError where its library is missing."""
    module, kind, settings, _ = (PEERS | CONVOLUTIONS)[name]
    return getattr(importlib.import_module(f"{__name__}.{module}"), kind)(**settings)


def is_rival(name):
    """True for those that do the same work as ours: neither ours nor the bare matrix products."""
    return plain(name) != "ours" and not name.startswith("matmul")
