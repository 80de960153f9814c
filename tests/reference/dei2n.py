"""DEI2N (Xiao et al. 2024) as plain float64 loops, from the paper; imports nothing of ours.

Where the paper is silent (projection before the self-attention, inside of the attention unit):
what ``models.md`` and the formula line of vector 09 say.
"""

import math


def layer(x, w, b=None):
    n = len(w[0])
    out = [0.0 if b is None else b[o] for o in range(n)]
    for i, v in enumerate(x):
        for o in range(n):
            out[o] += v * w[i][o]
    return out


def relu(x):
    return [max(0.0, v) for v in x]


def softmax(x):
    e = [math.exp(v - max(x)) for v in x]
    return [v / sum(e) for v in e]


def minutes(age_s, n_rows):
    """t_i = floor((t - t_i) / 60 s), in [0, n_rows)."""
    return min(max(math.floor(age_s / 60), 0), n_rows - 1)


def half_doublings(age_s, n_rows):
    """Not in the paper: which half doubling of one minute."""
    return min(math.floor(2 * math.log2(1 + max(age_s, 0) / 60)), n_rows - 1)


def layer_norm(x, gain, shift, epsilon=1e-5):
    mean = sum(x) / len(x)
    variance = sum((v - mean) ** 2 for v in x) / len(x)
    root = math.sqrt(variance + epsilon)
    return [g * (v - mean) / root + s for v, g, s in zip(x, gain, shift, strict=True)]


def project(behaviors, times, w):
    """X = [E_b; E_t] W + b."""
    return [layer([*e, *t], w["Wmix"], w["bmix"]) for e, t in zip(behaviors, times, strict=True)]


def self_attention(rows, w, n_heads):
    """LayerNorm(X + MHSA(X)), eq 2-3, of rows that are all real."""
    q, k, v = ([layer(x, w[name]) for x in rows] for name in ("WQ", "WK", "WV"))
    width = len(w["WQ"][0]) // n_heads
    out = []
    for i, x in enumerate(rows):
        heads = []
        for h in range(n_heads):
            part = range(h * width, (h + 1) * width)
            scores = [sum(q[i][c] * key[c] for c in part) / math.sqrt(width) for key in k]
            weights = softmax(scores)
            heads += [sum(a * row[c] for a, row in zip(weights, v, strict=True)) for c in part]
        added = [a + b for a, b in zip(x, layer(heads, w["WO"]), strict=True)]
        out.append(layer_norm(added, w["ln_g"], w["ln_b"]))
    return out


def weights_of(query, keys, times, w):
    """w_j of eq 4; all keys are real."""
    scores = []
    for k, t in zip(keys, times, strict=True):
        q = relu(layer([*query, *t], w["Wq"], w["bq"]))
        z = [
            *q,
            *k,
            *(a - b for a, b in zip(q, k, strict=True)),
            *(a * b for a, b in zip(q, k, strict=True)),
        ]
        hidden = relu(layer(relu(layer(z, w["W1"], w["b1"])), w["W2"], w["b2"]))
        scores.append(layer(hidden, w["W3"], w["b3"])[0])
    return softmax(scores) if scores else []


def attend(query, keys, times, w):
    """Eq 4; nothing at all gives zeros."""
    out = [0.0] * len(query)
    for a, k in zip(weights_of(query, keys, times, w), keys, strict=True):
        for i, v in enumerate(k):
            out[i] += a * v
    return out


def instant(about, trigger, hard, w):
    """(p_tr, p_ta) of eq 1; ``about`` is [e_u; e_c], ``hard`` the behaviors E_b^h."""
    done = [sum(row[i] for row in hard) for i in range(len(trigger))]
    hidden = relu(layer([*about, *trigger, *done], w["W1"], w["b1"]))
    return softmax(layer(relu(layer(hidden, w["W2"], w["b2"])), w["W3"], w["b3"]))


def interaction(target, trigger, w):
    """Eq 6."""
    both = [*target, *trigger, *(a * b for a, b in zip(target, trigger, strict=True))]
    return relu(layer(relu(layer(both, w["W1"], w["b1"])), w["W2"], w["b2"]))


def interest(request, target, w, n_heads):
    """[e_mix; e_ta^h; e^i] of one candidate.

    ``request`` has ``about``, ``trigger`` (None: there is none), and rows and times of the
    behaviors (``soft``, ``soft_times``) and of the sub-sequence (``hard``, ``hard_times``).
    """
    trigger = request["trigger"]
    hard, hard_times = request["hard"], request["hard_times"]
    p_trigger, p_target = 0.0, 1.0
    if trigger is None:
        trigger, hard, hard_times = [0.0] * len(target), [], []
    else:
        p_trigger, p_target = instant(request["about"], trigger, hard, w["ui2m"])
    times = request["soft_times"]
    refined = self_attention(project(request["soft"], times, w["soft"]), w["soft"], n_heads)
    of_target = attend(target, refined, times, w["att_target"])
    of_trigger = attend(trigger, refined, times, w["att_trigger"])
    mix = [p_trigger * a + p_target * b for a, b in zip(of_trigger, of_target, strict=True)]
    of_hard = attend(target, hard, hard_times, w["att_hard"])
    return [*mix, *of_hard, *interaction(target, trigger, w["interaction"])]


def sub_sequence(categories, wanted, longest):
    """Positions of the behaviors of a category: the newest so many, in their order."""
    return [i for i, c in enumerate(categories) if c == wanted][-longest:]
