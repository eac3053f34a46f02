"""Philox4x32-10: random numbers as a function of a counter (equation E1; Salmon, Moraes, Dror & Shaw, 2011).

There is no state: the same counter and key give the same four words, for ever. All numbers are Python integers from 0 to
2 to the 32 minus 1; hi and lo are the upper and the lower 32 bits of a product of 64.
"""

M0, M1 = 0xD2511F53, 0xCD9E8D57  # round multipliers
W0, W1 = 0x9E3779B9, 0xBB67AE85  # key increments
MASK = 0xFFFFFFFF


def philox(counter, key, rounds=10):
    """The words that belong to a counter (E1).   counter: 4 integers, key: 2 integers → a tuple of 4 integers"""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(rounds):
        p0, p1 = M0 * c0, M1 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & MASK, (p0 >> 32) ^ c3 ^ k1, p0 & MASK
        k0, k1 = (k0 + W0) & MASK, (k1 + W1) & MASK
    return c0, c1, c2, c3
