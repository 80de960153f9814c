"""Mutations of the readers that walk the behaviors: DIEN and the GRU reader."""

from prove.mutations.mutation import Mutation

_DIEN = "tests/contract/test_dien_twin.py"

RECURRENT_READERS = [
    Mutation(
        "dien: the state after a behavior foretells it",
        "models/dien.py",
        "states = walked.states[:-1].transpose(0, 1)",
        "states = walked.states[1:].transpose(0, 1)",
        _DIEN,
    ),
    Mutation(
        "dien: the update gate of the AUGRU is that of the published code",
        "models/recurrent_kernels.py",
        "new[j] = old[j] + share[row] * update[j] * (candidate[j] - old[j])",
        "new[j] = candidate[j] + (_ONE - share[row]) * update[j] * (old[j] - candidate[j])",
        _DIEN,
    ),
    Mutation(
        "dien: the softmax goes over candidates",
        "models/dien.py",
        "return masked_softmax(scores, mask.unsqueeze(-1), 1)",
        "return masked_softmax(scores, mask.unsqueeze(-1), 2)",
        _DIEN,
    ),
    Mutation(
        "gru4rec: the state of padding is read",
        "models/gru4rec.py",
        "final = walked.newest.squeeze(1) * walked.real",
        "final = walked.newest.squeeze(1)",
        "tests/unit/models/test_recurrent.py",
    ),
    Mutation(
        "gru4rec: the sum goes beyond the newest behaviors",
        "models/gru4rec.py",
        "sum_of_newest(seen.behaviors, self.length)",
        "sum_of_newest(seen.behaviors, seen.behaviors.mask.shape[1])",
        _DIEN,
    ),
]
