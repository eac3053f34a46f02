"""Whole numbers of any kind in place of measurements: twins of ops.numpy.categorical. `work` is not used.

One that has no row or no class makes NaN: a kernel cannot raise.
"""

import numpy as np

from .check import check, whole
from .launch import C_NAMES, THREADS, int32, launch, per_element, width

_FILE = "categorical.cu"


def embedding(rows, W, out):
    """Y[n] = W[rows[n]] (E74).   rows, whole numbers (…) · W (V, D) → out (…, D)"""
    kind = whole("embedding", rows=(rows, rows.shape))
    dtype = check("embedding", W=(W, W.shape), out=(out, (*rows.shape, W.shape[1])))
    V = width(W.shape[1], W, out)
    arguments = rows, kind, W, np.int64(len(W)), out, np.int64(rows.size), int32(W.shape[1])
    per_element(_FILE, f"embedding<{C_NAMES[dtype]}, {V}>", out.size // V, arguments)
    return out


def embedding_backward(dY, rows, dW):
    """dW[v] = Σ dY[n] over the n with rows[n] = v, in the order of n (E74).   dY (…, D), rows (…) → dW (V, D)"""
    kind = whole("embedding_backward", rows=(rows, rows.shape))
    dtype = check("embedding_backward", dW=(dW, dW.shape), dY=(dY, (*rows.shape, dW.shape[1])))
    arguments = dY, rows, kind, dW, np.int64(len(dW)), np.int64(rows.size), int32(dW.shape[1])
    per_element(_FILE, f"embedding_backward<{C_NAMES[dtype]}>", dW.size, arguments)
    return dW


def one_hot(rows, out):
    """Y[n, k] = 1 where k = rows[n], else 0 (E74).   rows, whole numbers (…) → out (…, K)"""
    kind = whole("one_hot", rows=(rows, rows.shape))
    dtype = check("one_hot", out=(out, (*rows.shape, out.shape[-1])))
    per_element(
        _FILE, f"one_hot<{C_NAMES[dtype]}>", out.size, (rows, kind, out, np.int64(rows.size), int32(out.shape[-1]))
    )
    return out


def categorical_nll(logits, labels, out, p, work=None):
    """−log p(labels) = Σ_pixels log Σ_k e^(a_k) − a_label (E75).

    logits a (B, P, K) · labels, whole numbers (B, P) → out (B,), nats per image, and p = softmax a, as a
    """
    (B, P, K), shape = logits.shape, logits.shape
    kind = whole("categorical_nll", labels=(labels, (B, P)))
    dtype = check("categorical_nll", logits=(logits, shape), p=(p, shape), out=(out, (B,)))
    launch(
        _FILE,
        f"categorical_nll<{C_NAMES[dtype]}>",
        (B,),
        (THREADS,),
        (logits, labels, kind, out, p, int32(P), int32(K)),
    )
    return out


def categorical_nll_backward(dnll, p, labels, out):
    """da = dnll · (p − one-hot of the label) (E76).   dnll (B,) · p (B, P, K) · labels (B, P) → out (B, P, K)"""
    B, P, K = p.shape
    kind = whole("categorical_nll_backward", labels=(labels, (B, P)))
    dtype = check("categorical_nll_backward", dnll=(dnll, (B,)), p=(p, p.shape), out=(out, p.shape))
    arguments = dnll, p, labels, kind, out, np.int64(p.size), int32(P), int32(K)
    per_element(_FILE, f"categorical_nll_backward<{C_NAMES[dtype]}>", out.size, arguments)
    return out
