"""A whole VAE step: forward is given, backward is yours (equations E4 to E6, E13 to E18 and E36).

Shapes: B images of D pixels, H hidden units in encoder and decoder, L latents. The parameters p are a dict of arrays:

    encoder   W1 (D, H)   b1 (H,)   W2 (H, 2 L)   b2 (2 L,)      the first L of the 2 L columns are mu, the others logvar
    decoder   W3 (L, H)   b3 (H,)   W4 (H, D)     b4 (D,)        its output are logits

The loss is −ELBO with one draw of z: summed over pixels and latents, averaged over the B images.
"""

import numpy as np


def vae_forward(p, x, eps):
    """Given, leave it as it is.   x (B, D), eps (B, L) → loss (a number), and a dict of what backward needs"""
    L = eps.shape[1]
    a1 = x @ p["W1"] + p["b1"]  # (B, H)
    h1 = np.where(a1 > 0, a1, 0)
    code = h1 @ p["W2"] + p["b2"]  # (B, 2 L)
    mu, logvar = code[:, :L], code[:, L:]
    std = np.exp(0.5 * logvar)
    z = mu + std * eps  # (B, L)
    a2 = z @ p["W3"] + p["b3"]  # (B, H)
    h2 = np.where(a2 > 0, a2, 0)
    logits = h2 @ p["W4"] + p["b4"]  # (B, D)
    size = np.where(logits > 0, logits, -logits)
    nll = np.sum(np.where(logits > 0, logits, 0) + np.log1p(np.exp(-size)) - x * logits, axis=1)  # (B,)
    kl = 0.5 * np.sum(mu**2 + std**2 - 1 - logvar, axis=1)  # (B,)
    cache = {"x": x, "eps": eps, "h1": h1, "mu": mu, "logvar": logvar, "std": std, "z": z, "h2": h2, "logits": logits}
    return np.sum(nll + kl) / len(x), cache


def vae_backward(p, cache):
    """The gradient of the loss with respect to every parameter.   → a dict with the keys and shapes of p"""
    x, eps, mu, std = cache["x"], cache["eps"], cache["mu"], cache["std"]
    B = len(x)
    grads = {}
    dlogits = (0.5 * (1 + np.tanh(0.5 * cache["logits"])) - x) / B  # (B, D)
    grads["W4"], grads["b4"] = cache["h2"].T @ dlogits, dlogits.sum(axis=0)
    da2 = np.where(cache["h2"] > 0, dlogits @ p["W4"].T, 0)  # (B, H)
    grads["W3"], grads["b3"] = cache["z"].T @ da2, da2.sum(axis=0)
    dz = da2 @ p["W3"].T  # (B, L)
    dmu = dz + mu / B
    dlogvar = 0.5 * dz * eps * std + 0.5 * (std**2 - 1) / B
    dcode = np.concatenate([dmu, dlogvar], axis=1)  # (B, 2 L)
    grads["W2"], grads["b2"] = cache["h1"].T @ dcode, dcode.sum(axis=0)
    da1 = np.where(cache["h1"] > 0, dcode @ p["W2"].T, 0)  # (B, H)
    grads["W1"], grads["b1"] = x.T @ da1, da1.sum(axis=0)
    return grads
