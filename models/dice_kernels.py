"""Compiled passes of Dice (eq 3 of the DIN paper) in training, there and back; float32.

In torch each of its fifteen sums and products is a pass over memory of its own. tanh is the
approximation of ``scan_kernels``, good to 5e-7.
"""

import numpy as np
from numpy.typing import NDArray

from interest_center.core.compiled import compiled_fastmath
from models.scan_kernels import F32, sigmoid_of

F64 = NDArray[np.float64]

_ONE = np.float32(1)


@compiled_fastmath
def statistics(x: F32, mean: F64, variance: F64) -> None:
    """Fill the means and population variances of the columns of ``x [batch, dim]``."""
    mean[:] = 0.0
    variance[:] = 0.0
    for r in range(x.shape[0]):
        row = x[r]
        for d in range(row.shape[0]):
            mean[d] += row[d]
    mean /= x.shape[0]
    for r in range(x.shape[0]):
        row = x[r]
        for d in range(row.shape[0]):
            variance[d] += (row[d] - mean[d]) ** 2
    variance /= x.shape[0]


@compiled_fastmath
def activate(x: F32, mean: F32, scale: F32, alpha: F32, out: F32) -> None:
    """Fill the activation.

    Args:
        x: ``[batch, dim]``.
        mean: Of each column, ``[dim]``.
        scale: One over its standard deviation, ``[dim]``.
        alpha: Learned slope, ``[dim]``.
        out: ``[batch, dim]``.
    """
    for r in range(x.shape[0]):
        row, to = x[r], out[r]
        for d in range(row.shape[0]):
            p = sigmoid_of((row[d] - mean[d]) * scale[d])
            to[d] = row[d] * (p + (_ONE - p) * alpha[d])


@compiled_fastmath
def retreat(x: F32, gradient: F32, columns: tuple[F32, F32, F32], of_x: F32, sums: F64) -> None:
    """Fill the gradient of ``x``, that through its statistics included.

    Args:
        x: ``[batch, dim]``.
        gradient: Of the activation, ``[batch, dim]``.
        columns: Mean, scale and alpha, as in ``activate``.
        of_x: ``[batch, dim]``.
        sums: Zeros; afterwards the gradient of alpha, and the sums over the batch of the gradient
            of the normalised x and of its product with the normalised x, ``[3, dim]``.
    """
    mean, scale, alpha = columns
    of_alpha, plain, product = sums[0], sums[1], sums[2]
    for r in range(x.shape[0]):
        row, g, to = x[r], gradient[r], of_x[r]
        for d in range(row.shape[0]):
            z = (row[d] - mean[d]) * scale[d]
            p = sigmoid_of(z)
            through = g[d] * row[d] * (_ONE - p)
            of_z = through * p * (_ONE - alpha[d])
            to[d] = g[d] * (p + (_ONE - p) * alpha[d]) + of_z * scale[d]
            of_alpha[d] += through
            plain[d] += of_z
            product[d] += of_z * z
    share = 1.0 / x.shape[0]
    for r in range(x.shape[0]):
        row, to = x[r], of_x[r]
        for d in range(row.shape[0]):
            z = (row[d] - mean[d]) * scale[d]
            to[d] -= scale[d] * np.float32(share * (plain[d] + z * product[d]))
