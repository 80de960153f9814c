"""DMIN (Xiao et al., CIKM 2020) as plain loops; imports nothing of ours.

From ``models.md``, which tells published code and its mistakes: scaled by a head's width, padding
left out, auxiliary loss as eq 6 of DIEN; relu in the units, whose queries are normalised.
"""

import math


def layer(x, w, b=None):
    out = [0.0] * len(w[0]) if b is None else list(b)
    for i, v in enumerate(x):
        for o in range(len(out)):
            out[o] += v * w[i][o]
    return out


def sigmoid(x):
    return 1.0 / (1.0 + math.exp(-x))


def softmax(x):
    e = [math.exp(v - max(x)) for v in x]
    return [v / sum(e) for v in e]


def add(*rows):
    return [sum(values) for values in zip(*rows, strict=True)]


def inner(a, b):
    return sum(u * v for u, v in zip(a, b, strict=True))


def layer_norm(x, w):
    mean = sum(x) / len(x)
    root = math.sqrt(sum((v - mean) ** 2 for v in x) / len(x) + 1e-5)
    return [g * (v - mean) / root + s for v, g, s in zip(x, w["ln_g"], w["ln_b"], strict=True)]


def feed_forward(x, w):
    """Return x + W2 relu(W1 x)."""
    hidden = [max(0.0, v) for v in layer(x, w["W1"], w["b1"])]
    return add(x, layer(hidden, w["W2"], w["b2"]))


def heads(rows, w, n_heads, causal):
    """The output of each head at each row: ``[n_heads][n_rows][width]``."""
    q, k, v = ([layer(x, w[name]) for x in rows] for name in ("WQ", "WK", "WV"))
    width = len(w["WQ"][0]) // n_heads
    out = []
    for h in range(n_heads):
        part = slice(h * width, (h + 1) * width)
        of_head = []
        for i in range(len(rows)):
            visible = range(i + 1 if causal else len(rows))
            scores = [inner(q[i][part], k[j][part]) / math.sqrt(width) for j in visible]
            weighted = [
                [a * u for u in v[j][part]] for a, j in zip(softmax(scores), visible, strict=True)
            ]
            of_head.append(add(*weighted))
        out.append(of_head)
    return out


def refine(rows, w, n_heads):
    """z_j: what a behavior is in the light of itself and of those before it."""
    found = heads(rows, w, n_heads, causal=True)
    refined = []
    for i, x in enumerate(rows):
        together = [v for of_head in found for v in of_head[i]]
        refined.append(feed_forward(layer_norm(add(x, layer(together, w["WO"])), w), w))
    return refined


def attend(query, keys, positions, w):
    """sum_j w_j I_hj, w = softmax of a unit with relu; ``positions`` join its first layer."""
    scores = []
    for j, k in enumerate(keys):
        z = [
            *query,
            *k,
            *(a - b for a, b in zip(query, k, strict=True)),
            *(a * b for a, b in zip(query, k, strict=True)),
        ]
        newest_first = len(keys) - 1 - j
        first = add(layer(z, w["W1"], w["b1"]), positions[newest_first])
        second = layer([max(0.0, v) for v in first], w["W2"], w["b2"])
        scores.append(layer([max(0.0, v) for v in second], w["W3"], w["b3"])[0])
    out = [0.0] * len(query)
    for a, k in zip(softmax(scores) if scores else [], keys, strict=True):
        out = add(out, [a * v for v in k])
    return out


def interest(rows, candidate, trigger, w, n_refiner, n_interests):
    """Sum and product, then each head's interest; with a trigger ("+TRA") what it attends to.

    ``trigger``: its embedding, None where a request has none; ``w["heads"][h]["trigger"]`` is
    missing in a model that does not attend with it.
    """
    total = add([0.0] * len(candidate), *rows)
    out = [*total, *(a * b for a, b in zip(total, candidate, strict=True))]
    attends = "trigger" in w["heads"][0]
    zeros = [0.0] * len(candidate)
    query = layer_norm(candidate, w["query"])
    if attends:
        out += zeros if trigger is None else trigger
    refined = refine(rows, w["refiner"], n_refiner)
    for h, found in enumerate(heads(refined, w["extractor"], n_interests, causal=False)):
        own = w["heads"][h]
        keys = [
            feed_forward(layer_norm(add(z, layer(x, own["WO"])), own), own)
            for z, x in zip(refined, found, strict=True)
        ]
        out += attend(query, keys, own["positions"], own["unit"])
        if attends:
            by_trigger = zeros
            if trigger is not None:
                asked = layer_norm(trigger, w["query"])
                by_trigger = attend(asked, keys, own["positions"], own["trigger"])
            out += [*by_trigger, *(a * b for a, b in zip(by_trigger, candidate, strict=True))]
    return out


def auxiliary_loss(histories, others, w, n_refiner):
    """Mean over steps of -log s(z_j, x_j+1) - log(1 - s(z_j, x'_j+1)), x' what was not done."""
    losses = []
    for rows, not_done in zip(histories, others, strict=True):
        refined = refine(rows, w["refiner"], n_refiner)
        for j in range(len(rows) - 1):
            losses.append(
                -math.log(sigmoid(inner(refined[j], rows[j + 1])))
                - math.log(1 - sigmoid(inner(refined[j], not_done[j + 1])))
            )
    return sum(losses) / len(losses)
