"""Mutations of the keepers of memory."""

from prove.mutations.mutation import Mutation

_VECTORS = "tests/golden/test_vectors.py::"
_HPMN = "tests/golden/test_hpmn_vectors.py::"
_MEMORIES = "tests/contract/test_memory_models.py::"

MEMORIES = [
    Mutation(
        "mimn: a write erases every slot alike",
        "models/layers.py",
        "memory * (1 - where * erase.unsqueeze(-2))",
        "memory * (1 - erase.unsqueeze(-2))",
        _VECTORS + "test_mimn_paper_step",
    ),
    Mutation(
        "mimn: channels move on the old memory",
        "models/mimn.py",
        "self.induce(state.channels, memory, event, read)",
        "self.induce(state.channels, state.memory, event, read)",
        _MEMORIES + "test_equals_the_torch_module[mimn]",
    ),
    Mutation(
        "mimn: keys are compared without their length",
        "models/mimn.py",
        "torch.softmax(cosine_similarity(keys, state.memory), -1)\n        read, write",
        "torch.softmax(keys @ state.memory.transpose(1, 2), -1)\n        read, write",
        _MEMORIES + "test_equals_the_torch_module[mimn]",
    ),
    Mutation(
        "mimn: usage counts the weights before they are rebalanced",
        "models/mimn_scan.py",
        "usage[i] += (final_w[i] - usage[i]) / row[e + m]",
        "usage[i] += (write_w[i] - usage[i]) / row[e + m]",
        _MEMORIES + "test_equals_the_numpy_twin",
    ),
    Mutation(
        "mimn: the least read channel is moved",
        "models/mimn_scan.py",
        "read[i] > read[best]",
        "read[i] < read[best]",
        _MEMORIES + "test_equals_the_numpy_twin",
    ),
    Mutation(
        "mimn: the columns of the transfer matrix sum to 1, not its rows",
        "models/mimn.py",
        "torch.softmax((g @ transfer.view(m * m, m).T).view(-1, m, m), -1)",
        "torch.softmax((g @ transfer.view(m * m, m).T).view(-1, m, m), -2)",
        _VECTORS + "test_mimn_readings_of_the_transfer_matrix",
    ),
    Mutation(
        "mimn: use is pulled to 0, not to equal use",
        "models/mimn.py",
        "(g - g.mean(-1, keepdim=True)).square()",
        "g.square()",
        _VECTORS + "test_utilisation_loss",
    ),
    Mutation(
        "hpmn: the phase of all periods is one event late",
        "models/hpmn.py",
        "count = state.phase + 1",
        "count = state.phase + 0",
        _HPMN + "test_hpmn_updates",
    ),
    Mutation(
        "hpmn: the scan moves slots that are not due",
        "models/hpmn_scan.py",
        "if count % w.periods[j] != 0:",
        "if count % w.periods[j - 1] != 0:",
        _MEMORIES + "test_equals_the_numpy_twin",
    ),
    Mutation(
        "hpmn: a hop forgets the query",
        "models/hpmn.py",
        "query = query @ self.hop_map + weighted_sums(weights, slots)",
        "query = weighted_sums(weights, slots)",
        _HPMN + "test_hpmn_read",
    ),
    Mutation(
        "hpmn: the covariance is not centred",
        "models/hpmn.py",
        "centred = slots - slots.mean(-1, keepdim=True)",
        "centred = slots - 0",
        _HPMN + "test_covariance_penalty",
    ),
]
