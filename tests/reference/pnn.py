"""IPNN (Qu et al. 2016) as plain loops, from the paper; imports nothing of ours."""


def inner(a, b):
    return sum(u * v for u, v in zip(a, b, strict=True))


def product_layer(fields, linear, quadratic, bias):
    """l_z + l_p + b, before the activation.

    l_z^n = sum_i <W_z^n_i, f_i>; l_p^n = sum_ij W_p^n_ij <f_i, f_j> over all i and j.
    """
    out = []
    for n, b in enumerate(bias):
        total = b
        for i, f in enumerate(fields):
            total += inner(linear[n][i], f)
            for j, g in enumerate(fields):
                total += quadratic[n][i][j] * inner(f, g)
        out.append(total)
    return out
