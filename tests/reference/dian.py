"""DIAN (Xia et al., WWW 2023) as float64 loops, from notes; imports nothing of ours."""

import math

from reference import dei2n


def query_attention(query, rows, w, n_heads):
    """Multi-head attention of one query; no rows give zeros."""
    if not rows:
        return [0.0] * len(query)
    q = dei2n.layer(query, w["WQ"])
    k, v = ([dei2n.layer(row, w[name]) for row in rows] for name in ("WK", "WV"))
    width = len(q) // n_heads
    found = []
    for h in range(n_heads):
        part = range(h * width, (h + 1) * width)
        weights = dei2n.softmax([sum(q[c] * key[c] for c in part) / math.sqrt(width) for key in k])
        found += [sum(a * row[c] for a, row in zip(weights, v, strict=True)) for c in part]
    return dei2n.layer(found, w["WO"])


def network(x, w):
    return dei2n.relu(dei2n.layer(dei2n.relu(dei2n.layer(x, w["W1"], w["b1"])), w["W2"], w["b2"]))


def intent(about, trigger, behaviors, w):
    """Return p: how far the user follows the trigger."""
    done = [sum(row[i] for row in behaviors) for i in range(len(trigger))]
    mean = [v / max(len(behaviors), 1) for v in done]
    known = [*about, *trigger, *mean, *(a * b for a, b in zip(done, trigger, strict=True))]
    return dei2n.softmax(dei2n.layer(network(known, w), w["W3"], w["b3"]))[0]


def interest(request, target, w, n_heads):
    """Return p aware + (1 - p) free of one candidate, and p."""
    soft, hard, trigger = request["soft"], request["hard"], request["trigger"]
    free = network([*target, *query_attention(target, soft, w["free_recent"], n_heads)], w["free"])
    if trigger is None:
        return free, 0.0
    p = intent(request["about"], trigger, soft, w["intent"])
    aware = network(
        [
            *target,
            *query_attention(target, soft, w["target_recent"], n_heads),
            *query_attention(target, hard, w["target_category"], n_heads),
            *trigger,
            *query_attention(trigger, soft, w["trigger_recent"], n_heads),
            *query_attention(trigger, hard, w["trigger_category"], n_heads),
        ],
        w["aware"],
    )
    return [p * a + (1 - p) * b for a, b in zip(aware, free, strict=True)], p
