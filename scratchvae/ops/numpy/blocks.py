"""From the outputs of a convolution back to its image, without adding to any number twice.

With stride (s, t), cut the padded image into blocks of s × t pixels. All pixels of a block (m, n) have gone to the same outputs.
Output y has seen the image's row s m + a if the kernel has a row s y + i = s m + a, that is i = s (m − y) + a. So block m has gone to
the outputs m, m − 1, …, m − k + 1, k = ⌈kh / s⌉, through the rows a, a + s, a + 2s … of the kernel: a convolution of dY, of stride 1,
with the kernel taken apart by the stride and mirrored, from O channels to the s t I numbers of a block:

    dX[s m + a, t n + b, c] = Σ_(i, j, o) dY[m − i, n − j, o] W[s i + a, t j + b, c, o] (E64)

One product of these patches of dY with that kernel gives dX, and one of the same patches with the blocks of X gives dW. A kernel that
is no whole number of strides is filled up with zeros. With stride 1 a block is a pixel, and nothing is cut.
"""

import numpy as np

from .patches import placed, windows


class Blocks:
    """The blocks that meet the image, rows × columns of them, for one shape of image (B, H, W, I) and kernel (kh, kw, I, O).

    shapes: of the work for one image: patches of dY · dY with zeros around it · blocks · the image that these make up
    """

    def __init__(self, image, kernel, stride, pad):
        self.kernel, self.stride, self.one = kernel, stride, stride == (1, 1)
        first = pad[0] // stride[0], pad[1] // stride[1]
        self.rows = (pad[0] + image[1] - 1) // stride[0] - first[0] + 1
        self.columns = (pad[1] + image[2] - 1) // stride[1] - first[1] + 1
        self.k = -(-kernel[0] // stride[0]), -(-kernel[1] // stride[1])
        self.before = self.k[0] - 1 - first[0], self.k[1] - 1 - first[1]  # rows and columns of zeros before dY; less than 0: left out
        self.begin = pad[0] - stride[0] * first[0], pad[1] - stride[1] * first[1]  # where in the first block the image begins
        self.shapes = [
            (self.rows, self.columns, *self.k, kernel[3]),
            (self.rows + self.k[0] - 1, self.columns + self.k[1] - 1, kernel[3]),
            (0,) if self.one else (self.rows, self.columns, *stride, kernel[2]),  # with stride 1 the image itself
            (0,) if self.one else (self.rows * stride[0], self.columns * stride[1], kernel[2]),
        ]

    def patches(self, dY, P, around):
        """Patches of dY, one for each block → P as (blocks, k k′ O). Writes P and around."""
        np.copyto(P, windows(placed(dY, around, self.before), P.shape, (1, 1)))
        return P.reshape(P.shape[0] * self.rows * self.columns, -1)

    def cut(self, x, blocks, image):
        """x (n, H, W, I) in blocks → (blocks, s t I). Writes blocks and image."""
        if not self.one:
            placed(x, image, self.begin)
            np.copyto(blocks, self._blocks_of(image))
            x = blocks
        return x.reshape(len(x) * self.rows * self.columns, -1)

    def joined(self, P, kernel, dX, blocks, image):
        """The blocks that are the product P kernel, put together → dX (n, H, W, I). Writes blocks and image."""
        (top, left), (height, width) = self.begin, dX.shape[1:3]
        made = dX if self.one else blocks
        np.matmul(P, kernel, out=made.reshape(len(P), -1))
        if not self.one:
            np.copyto(self._blocks_of(image), blocks)
            np.copyto(dX, image[:, top : top + height, left : left + width])
        return dX

    def mirrored(self, W):
        """The kernel taken apart and mirrored.   W (kh, kw, I, O) → (k k′ O, s t I)"""
        full = np.zeros(self._full(), W.dtype)
        full[: W.shape[0], : W.shape[1]] = W
        return np.ascontiguousarray(self._apart(full)).reshape(self.k[0] * self.k[1] * W.shape[3], -1)

    def whole(self, mirrored, W):
        """What `mirrored` does, undone.   (k k′ O, s t I) → W (kh, kw, I, O)"""
        full = np.empty(self._full(), W.dtype)
        apart = self._apart(full)
        np.copyto(apart, mirrored.reshape(apart.shape))
        return np.copyto(W, full[: W.shape[0], : W.shape[1]])

    def _full(self):
        return (self.k[0] * self.stride[0], self.k[1] * self.stride[1], *self.kernel[2:])

    def _apart(self, full):
        """A view (k, k′, O, s, t, I) of a kernel of whole strides, its first two axes backwards."""
        apart = full.reshape(self.k[0], self.stride[0], self.k[1], self.stride[1], *self.kernel[2:])
        return apart[::-1, :, ::-1].transpose(0, 2, 5, 1, 3, 4)

    def _blocks_of(self, image):
        """A view (n, rows, columns, s, t, I) of an image of whole blocks."""
        (s, t), inputs = self.stride, self.kernel[2]
        return image.reshape(len(image), self.rows, s, self.columns, t, inputs).transpose(0, 1, 3, 2, 4, 5)
