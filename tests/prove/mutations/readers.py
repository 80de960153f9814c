"""Mutations of the readers of ids."""

from prove.mutations.mutation import Mutation

_VECTORS = "tests/golden/test_vectors.py::"

READERS = [
    Mutation(
        "din: the difference of key and candidate is a sum",
        "models/din.py",
        "linear(keys, wk - wd, self.first.bias)",
        "linear(keys, wk + wd, self.first.bias)",
        _VECTORS + "test_din_attention",
    ),
    Mutation(
        "din: padding is attended to",
        "models/din.py",
        "return scores * real",
        "return scores",
        _VECTORS + "test_din_attention",
    ),
    Mutation(
        "din: v_U(A) is added to the candidate",
        "models/din.py",
        "parts += [part * candidates for part in parts]",
        "parts += [part + candidates for part in parts]",
        "tests/contract/test_reader_twins.py::test_din_reader_equals_its_twin",
    ),
    Mutation(
        "dice: variance of a sample, not of the batch",
        "models/layers.py",
        "torch.var_mean(x, dim=0, correction=0)",
        "torch.var_mean(x, dim=0, correction=1)",
        _VECTORS + "test_dice",
    ),
    Mutation(
        "sim: every candidate searches the same category",
        "models/sim.py",
        "place = (first + group).flatten()",
        "place = (first + 0 * group).flatten()",
        "tests/contract/test_sim_twin.py",
    ),
    Mutation(
        "sim: the softmax goes over heads",
        "models/sim.py",
        "masked_softmax(torch.bmm(own, asked.transpose(1, 2)), real, 1)",
        "masked_softmax(torch.bmm(own, asked.transpose(1, 2)), real, 2)",
        "tests/contract/test_sim_twin.py",
    ),
]
