"""What an output is compared with where a target stands beside the image: modules like the likelihoods, which hold it for backward."""

from .. import gate, nn
from ..errors import DataError, ShapeError


class Categorical(nn.Module):
    """Each pixel is of class k with probability softmax(logits)_k (E75)."""

    input_gradient = True, False  # labels are data

    def forward(self, logits, labels):
        """logits (B, H, W, K) · labels, whole numbers from 0 to K − 1 (B, H, W) → nll (B,), nats per image summed over pixels

        Raises ShapeError, and DataError for a label that is no class.
        """
        self.floats(logits=logits)
        rows, classes = len(logits), logits.shape[-1]
        if not isinstance(labels, self.backend.xp.ndarray) or labels.shape != logits.shape[:-1] or labels.dtype.kind not in "iu":
            raise ShapeError(f"segments must be whole numbers {logits.shape[:-1]}, one for each pixel, not {gate.shown(labels)}")
        if self.may_look and (labels.min() < 0 or labels.max() >= classes):
            raise DataError(f"segments from {labels.min()} to {labels.max()}: the model knows the classes 0 to {classes - 1}")
        flat = rows, logits[0].size // classes, classes
        self.labels, self.p = labels.reshape(flat[:2]), self.new("p", flat, logits.dtype)
        self.nll, self.shape = self.new("nll", (rows,), logits.dtype), logits.shape
        work = self.work(flat[:2], logits.dtype), self.work(flat[:2], logits.dtype)
        return self.ops.categorical_nll(logits.reshape(flat), self.labels, self.nll, self.p, work)

    def backward(self, dnll):
        """dnll (B,) → dlogits (B, H, W, K), and None: labels are data"""
        self.floats(dnll=dnll, like=self.nll)
        dlogits = self.new("dlogits", self.shape, dnll.dtype)
        self.ops.categorical_nll_backward(dnll, self.p, self.labels, dlogits.reshape(self.p.shape))
        return dlogits, None


class SquaredError(nn.Module):
    """Σ (y − target)² of each row (E21)."""

    input_gradient = True, False  # the target is data

    def forward(self, y, target):
        """y, target (B, …) of one number of pixels → error (B,), summed over pixels. Raises ShapeError."""
        self.floats(y=y, target=target)
        if target.size != y.size or len(target) != len(y):
            raise ShapeError(f"targets must have the numbers of the output, {y.shape}, not {target.shape}")
        self.y, self.target = y, target
        self.error, pixels = self.new("error", (len(y),), y.dtype), (len(y), y.size // len(y))
        return self.ops.squared_error(y.reshape(pixels), target.reshape(pixels), self.error, self.work(pixels, y.dtype))

    def backward(self, derror):
        """derror (B,) → dy as y, and None: the target is data"""
        self.floats(derror=derror, like=self.error)
        dy, pixels = self.new("dy", self.y.shape, derror.dtype), (len(self.y), self.y.size // len(self.y))
        self.ops.squared_error_backward(derror, self.y.reshape(pixels), self.target.reshape(pixels), dy.reshape(pixels))
        return dy, None
