"""DIN (Zhou et al., KDD 2018) as plain float64 loops, from the paper; imports nothing of ours."""

import math


def sigmoid(x):
    return 1.0 / (1.0 + math.exp(-x))


def layer(x, w, b):
    return [b[o] + sum(x[i] * w[i][o] for i in range(len(x))) for o in range(len(b))]


def activation(q, k, w, bias=None):
    """a(k, q): the unit's network on [q, k, q - k, q * k]; ``bias`` joins the first layer."""
    z = [
        *q,
        *k,
        *(a - b for a, b in zip(q, k, strict=True)),
        *(a * b for a, b in zip(q, k, strict=True)),
    ]
    first = layer(z, w["W1"], w["b1"])
    if bias is not None:
        first = [a + b for a, b in zip(first, bias, strict=True)]
    first = [sigmoid(v) for v in first]
    second = [sigmoid(v) for v in layer(first, w["W2"], w["b2"])]
    return layer(second, w["W3"], w["b3"])[0]


def attend(q, keys, w, biases=None):
    """v_U(A) = sum_j a(e_j, v_A) e_j; nothing at all gives zeros."""
    out = [0.0] * len(q)
    for j, k in enumerate(keys):
        weight = activation(q, k, w, None if biases is None else biases[j])
        for i, v in enumerate(k):
            out[i] += weight * v
    return out


def dice(x, alpha, mean, variance):
    """Eq 3 of the paper for one sample; mean and variance by channel."""
    out = []
    for s, a, e, v in zip(x, alpha, mean, variance, strict=True):
        p = sigmoid((s - e) / math.sqrt(v + 1e-8))
        out.append(p * s + (1 - p) * a * s)
    return out
