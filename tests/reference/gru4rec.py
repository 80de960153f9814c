"""The recurrent model of the MIMN repository as float64 loops; imports nothing of ours.

Its gated layer is that of DIEN's paper, which is that twin's.
"""

from reference import dien


def interest(behaviors, w, dim, length):
    """[sum of the newest behaviors, state after the last one]; no behavior gives zeros."""
    total = [sum(row[i] for row in behaviors[-length:]) for i in range(dim)]
    states = dien.states_of(behaviors, w)
    return [*total, *(states[-1] if states else [0.0] * len(w["bh"]))]
