"""DIHN (Shen et al., WWW 2022) as float64 loops, from notes of the paper; imports nothing of ours.

Its parts that DEI2N and DIN have too are those twins'.
"""

import math

from reference import dei2n, din


def intent(about, trigger, behaviors, times, w):
    """Return p of the user intent network."""
    attended = dei2n.attend(trigger, behaviors, times, w["intent_unit"])
    done = [sum(row[i] for row in behaviors) for i in range(len(trigger))]
    known = [
        *about,
        *trigger,
        *attended,
        *done,
        *(a * b for a, b in zip(done, trigger, strict=True)),
    ]
    w = w["intent"]
    hidden = dei2n.relu(dei2n.layer(known, w["W1"], w["b1"]))
    hidden = dei2n.relu(dei2n.layer(hidden, w["W2"], w["b2"]))
    return dei2n.softmax(dei2n.layer(hidden, w["W3"], w["b3"]))[0]


def soft_interest(fused, behaviors, w, n_heads):
    """SSM: self-attention, then a DIN unit whose weights are a softmax."""
    if not behaviors:
        return [0.0] * len(fused)
    refined = dei2n.self_attention(behaviors, w["refine"], n_heads)
    weights = dei2n.softmax([din.activation(fused, k, w["soft_unit"]) for k in refined])
    return [sum(a * k[i] for a, k in zip(weights, refined, strict=True)) for i in range(len(fused))]


def interest(request, target, w, n_heads, positions):
    """[fused, HSM, SSM] of one candidate, and p; ``positions`` from the newest behavior on."""
    trigger, hard = request["trigger"], request["hard"]
    if trigger is None:
        p, fused, hard = 0.0, list(target), []
    else:
        p = intent(request["about"], trigger, request["soft"], request["soft_times"], w)
        fused = [p * a + (1 - p) * b for a, b in zip(trigger, target, strict=True)]
    places = [positions[min(len(hard) - 1 - i, len(positions) - 1)] for i in range(len(hard))]
    of_hard = dei2n.attend(fused, hard, places, w["hard_unit"])
    return [*fused, *of_hard, *soft_interest(fused, request["soft"], w, n_heads)], p


def category_loss(requests):
    """Mean log loss of p over candidates; requests: (p, whether each candidate is of the category).

    Requests without a trigger have p None.
    """
    terms = []
    for p, same in requests:
        if p is not None:
            terms += [-math.log(p if one else 1 - p) for one in same]
    return sum(terms) / max(len(terms), 1)
