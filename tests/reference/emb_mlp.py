"""Embedding & MLP (Zhou et al., KDD 2018, section 4.2) as plain loops; imports nothing of ours."""


def pool(behaviors, width, mean):
    """The sum of behaviors, or their average; nothing at all gives zeros."""
    out = [0.0] * width
    for e in behaviors:
        for i, v in enumerate(e):
            out[i] += v
    if mean and behaviors:
        out = [v / len(behaviors) for v in out]
    return out
