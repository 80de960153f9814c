"""DIEN (Zhou et al., AAAI 2019) as float64 loops, from the paper; imports nothing of ours.

The weights of a gated layer: W, U, b of u (update), r (reset), h (candidate). Its published form
reads the same names, and means TensorFlow's cell by them.
"""

import math

from reference import din


def product(x, w):
    return [sum(x[i] * w[i][o] for i in range(len(x))) for o in range(len(w[0]))]


def gate(x, h, w, name):
    """sigmoid(x W + h U + b)."""
    parts = zip(product(x, w["W" + name]), product(h, w["U" + name]), w["b" + name], strict=True)
    return [din.sigmoid(sum(part)) for part in parts]


def candidate(x, h, w):
    """Eq 4: tanh(x Wh + r * (h Uh) + bh)."""
    reset = gate(x, h, w, "r")
    parts = zip(product(x, w["Wh"]), reset, product(h, w["Uh"]), w["bh"], strict=True)
    return [math.tanh(a + r * b + c) for a, r, b, c in parts]


def mixed(h, new, shares):
    return [(1 - g) * old + g * c for old, c, g in zip(h, new, shares, strict=True)]


def gru(x, h, w):
    """Eq 2-5: the update gate is the share of the new."""
    return mixed(h, candidate(x, h, w), gate(x, h, w, "u"))


def agru(x, h, a, w):
    """Eq 12: the attention in place of the update gate."""
    return mixed(h, candidate(x, h, w), [a] * len(h))


def augru(x, h, a, w):
    """Eq 13: the attention times the update gate."""
    return mixed(h, candidate(x, h, w), [a * u for u in gate(x, h, w, "u")])


def published(x, h, a, w):
    """TensorFlow's cell: reset before the matrix, u is kept; times 1 - a in an AUGRU."""
    reset, keep = gate(x, h, w, "r"), gate(x, h, w, "u")
    kept = product([r * old for r, old in zip(reset, h, strict=True)], w["Uh"])
    parts = zip(product(x, w["Wh"]), kept, w["bh"], strict=True)
    new = [math.tanh(sum(part)) for part in parts]
    return mixed(h, new, [1 - (1 - a) * u for u in keep])


def states_of(behaviors, w):
    """The extractor's state after each behavior."""
    found, h = [], [0.0] * len(w["bh"])
    for x in behaviors:
        h = gru(x, h, w)
        found.append(h)
    return found


def softmax(scores):
    exps = [math.exp(score - max(scores)) for score in scores]
    return [e / sum(exps) for e in exps]


def attention(query, states, w):
    """Eq 10: softmax_t(h_t W e_a); or of a network of both, where there is one."""
    if not states:
        return []
    if "W1" in w:
        return softmax([din.activation(query, h, w) for h in states])
    rows = [product(h, w["W"]) for h in states]
    return softmax([sum(a * b for a, b in zip(row, query, strict=True)) for row in rows])


def evolve(form, states, weights, w):
    """h'_T of the second layer; zeros without any state."""
    h = [0.0] * len(w["bh"])
    for x, a in zip(states, weights, strict=True):
        if form == "aigru":
            h = gru([a * v for v in x], h, w)
        else:
            h = {"agru": agru, "augru": augru, "augru_published": published}[form](x, h, a, w)
    return h


def interest(request, target, w, form, length):
    """[h'_T; that of the trigger, the trigger, its h'_T times e_a; sum, sum times e_a] of one e_a.

    Args:
        request: ``soft`` behaviors, all of them; ``trigger``, None for none.
        target: The candidate e_a.
        w: ``extractor``, ``attention``, ``evolving``, and ``trigger_`` both to attend with it.
        form: Of the second layer.
        length: Newest behaviors that are attended to and summed.
    """
    dim = len(target)
    states = states_of(request["soft"], w["extractor"])[-length:]
    found = evolve(form, states, attention(target, states, w["attention"]), w["evolving"])
    if "trigger_evolving" in w:
        trigger, final = request["trigger"], [0.0] * dim
        if trigger is not None:
            weights = attention(trigger, states, w["trigger_attention"])
            final = evolve(form, states, weights, w["trigger_evolving"])
        products = [a * b for a, b in zip(final, target, strict=True)]
        found = [*found, *final, *(trigger or [0.0] * dim), *products]
    total = [sum(row[i] for row in request["soft"][-length:]) for i in range(dim)]
    return [*found, *total, *(a * b for a, b in zip(total, target, strict=True))]


def inner_products(states, behaviors):
    """h_t with e_{t + 1}, t from the first behavior on."""
    return [
        sum(a * b for a, b in zip(h, e, strict=True))
        for h, e in zip(states[:-1], behaviors[1:], strict=True)
    ]


def step_losses(done, not_done):
    """Terms of eq 6: -log p - log(1 - p') of each step, by the probabilities."""
    return [-math.log(p) - math.log(1 - q) for p, q in zip(done, not_done, strict=True)]


def mean_loss(histories):
    """Mean over the steps of all histories, each of (states, behaviors, what was not done)."""
    terms = []
    for states, behaviors, others in histories:
        done, not_done = (
            [din.sigmoid(z) for z in inner_products(states, rows)] for rows in (behaviors, others)
        )
        terms += step_losses(done, not_done)
    return sum(terms) / len(terms) if terms else 0.0


def published_probability(h, e, w):
    """Published code's network in the place of the inner product: of [h_t, e_{t + 1}]."""
    z = [
        g * v / math.sqrt(1.001) + b
        for v, g, b in zip([*h, *e], w["gamma"], w["beta"], strict=True)
    ]
    for k in ("1", "2"):
        z = [din.sigmoid(v) for v in din.layer(z, w["W" + k], w["b" + k])]
    return softmax(din.layer(z, w["W3"], w["b3"]))[0] + 1e-8
