"""Whole numbers in place of measurements: rows of a table, and classes with their likelihood."""

import numpy as np


def embedding(rows, W, out):
    """Y[n] = W[rows[n]]: a row of the table for each whole number (E74), the product of a one-hot row with W.

    rows, integers from 0 to V − 1, of any shape (…) · W (V, D) → out (…, D)
    """
    rows = rows.astype(np.intp, copy=False)  # NumPy 2.0 takes no uint64
    return np.take(W, rows, axis=0, out=out, mode="clip")  # "raise" would copy out first


def embedding_backward(dY, rows, dW):
    """dW[v] = Σ dY[n] over the n with rows[n] = v, in the order of n (E74).   dY (…, D), rows (…) → dW (V, D)"""
    rows, dY = rows.reshape(-1), dY.reshape(-1, dW.shape[1])
    order = np.argsort(rows, kind="stable")
    found, starts = np.unique(rows[order], return_index=True)
    dW[...] = 0
    for v, members in zip(found, np.split(order, starts[1:]), strict=True):
        np.sum(dY[members], axis=0, out=dW[v])
    return dW


def one_hot(rows, out):
    """Y[n, k] = 1 where k = rows[n], else 0 (E74).   rows, integers (…) → out (…, K)"""
    return np.equal(rows[..., None], np.arange(out.shape[-1]), out=out)


def categorical_nll(logits, labels, out, p, work):
    """−log p(labels) = Σ_pixels log Σ_k e^(a_k) − a_label (E75).   logits a (B, P, K) · labels, integers (B, P) → out (B,), nats per image

    Writes p = softmax a (B, P, K) too, which backward reads. The largest of a pixel's logits is taken off before e^, so that nothing
    overflows. work is two scratch arrays (B, P).
    """
    largest, total = work
    np.max(logits.real, axis=2, out=largest)
    np.subtract(logits, largest[..., None], out=p)
    for chosen, a, label in zip(largest, p, labels, strict=True):
        chosen[...] = a[np.arange(len(label)), label]
    np.exp(p, out=p)
    np.sum(p, axis=2, out=total)
    p /= total[..., None]
    np.log(total, out=total)
    total -= largest  # which holds the logit of the label by now
    return np.sum(total, axis=1, out=out)


def categorical_nll_backward(dnll, p, labels, out):
    """da = dnll · (p − one-hot of the label) (E76).   dnll (B,) · p (B, P, K) · labels (B, P) → out (B, P, K)"""
    one_hot(labels, out)
    np.subtract(p, out, out=out)
    out *= dnll[:, None, None]
    return out
