"""The wide part of Wide & Deep (Cheng et al. 2016) as plain loops; imports nothing of ours.

Inputs as in the DIEN and DEI2N repositories, see ``models.md``; transformations as in eq 1.
"""


def transformations(own, theirs):
    """phi_k of eq 1: 1 if some behavior has the candidate's id of kind k, for item and category.

    ``own`` are the candidate's (item, category), ``theirs`` those of the behaviors; None: unknown.
    """
    return [
        1.0 if any(ids[kind] is not None and ids[kind] == own[kind] for ids in theirs) else 0.0
        for kind in (0, 1)
    ]


def wide(about, candidate, history, crossed, w):
    """w^T [x, phi(x)] with x = [user and context, candidate, history, candidate * history]."""
    product = [a * b for a, b in zip(candidate, history, strict=True)]
    x = [*about, *candidate, *history, *product, *crossed]
    return sum(a * b for a, b in zip(x, w, strict=True))
