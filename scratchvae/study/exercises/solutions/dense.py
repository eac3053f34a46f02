"""A dense layer as a module: it holds its parameters and remembers what backward needs (equations E4 and E5).

Shapes: B rows, I inputs, O outputs. You may import your own affine: `from affine import affine, affine_backward`.
"""

import numpy as np


class Dense:
    """Y = X W + b, with W (I, O) and b (O,) in self.W and self.b, and their gradients in self.dW and self.db."""

    def __init__(self, W, b):
        """Keep W (I, O) and b (O,)."""
        self.W, self.b = W, b

    def forward(self, x):
        """x (B, I) → Y (B, O) (E4)"""
        self.x = x
        return x @ self.W + self.b

    def backward(self, dY):
        """dY (B, O) for the latest forward → dX (B, I). Writes self.dW (I, O) and self.db (O,); does not add to them (E5)"""
        self.dW = self.x.T @ dY
        self.db = np.sum(dY, axis=0)
        return dY @ self.W.T
