"""Mutations of the lines that models and training stand on, each with a test that has to notice.

A mutation replaces one text, which stands in its file exactly once, by one that is plausible and
wrong: most are mistakes of published code. Adding one means adding an entry here.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """One change that must not pass.

    Attributes:
        what: Whose line, and what is wrong with it afterwards.
        file: Path from the root of the clone.
        text: What stands there, once.
        replacement: What stands there instead.
        test: Pytest path of what has to fail.
    """

    what: str
    file: str
    text: str
    replacement: str
    test: str


_VECTORS = "tests/golden/test_vectors.py::"
_HPMN = "tests/golden/test_hpmn_vectors.py::"
_MEMORIES = "tests/contract/test_memory_models.py::"
_UNIT = "tests/unit/models/"

MUTATIONS = [
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
        "parts.append(parts[0] * candidates)",
        "parts.append(parts[0] + candidates)",
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
        "query = query @ self.hop_map + attend(query, slots, live)",
        "query = attend(query, slots, live)",
        _HPMN + "test_hpmn_read",
    ),
    Mutation(
        "hpmn: the covariance is not centred",
        "models/hpmn.py",
        "centred = slots - slots.mean(-1, keepdim=True)",
        "centred = slots - 0",
        _HPMN + "test_covariance_penalty",
    ),
    Mutation(
        "counts: an item is smoothed towards the overall rate, not its category's",
        "models/count_baseline.py",
        "item = self._smoothed_rate(items, clicks, train, category)",
        "item = self._smoothed_rate(items, clicks, train, clicks)",
        _UNIT + "test_count_baseline.py",
    ),
    Mutation(
        "counts: clicks of the test split are counted",
        "models/count_baseline.py",
        "np.bincount(place[train], clicks[train], n_keys)",
        "np.bincount(place, clicks, n_keys)",
        _UNIT + "test_count_baseline.py",
    ),
    Mutation(
        "leak: a sample sees the events of its own time",
        "models/samples.py",
        'np.searchsorted(newest, moments, side="left")',
        'np.searchsorted(newest, moments, side="right")',
        _UNIT + "test_samples.py::test_only_strictly_earlier_events_are_seen",
    ),
    Mutation(
        "leak: a training walk reads one event too many",
        "models/walks.py",
        "seen = positions - starts",
        "seen = positions - starts + 1",
        _UNIT + "test_training.py::test_training_reads_the_memory_that_the_scan_serves",
    ),
    Mutation(
        "training: walks come in the order of users and times",
        "models/training_order.py",
        "drawn = rng.permutation(walks.shape[1])[walk]",
        "drawn = np.arange(walks.shape[1])[walk]",
        _UNIT + "test_training_order.py",
    ),
    Mutation(
        "training: users are cut in two by parts",
        "models/training_order.py",
        "(before * n_parts // walks.shape[1])[place[user]][walk]",
        "(np.arange(walks.shape[1]) * n_parts // walks.shape[1])[walk]",
        _UNIT + "test_training_order.py",
    ),
    Mutation(
        "training: moments of a row are those of the step before",
        "models/row_optimiser.py",
        'state["first"][rows], state["second"][rows] = first, second',
        'state["first"][rows], state["second"][rows] = first, gradient',
        _UNIT + "test_row_optimiser.py",
    ),
    Mutation(
        "training: frequent rows are held down most",
        "models/row_optimiser.py",
        "aware = self.rate / self.counts[rows].clamp_min(1.0)",
        "aware = self.rate * self.counts[rows].clamp_min(1.0)",
        _UNIT + "test_row_optimiser.py",
    ),
    Mutation(
        "training: the average of a row that was not met is not caught up",
        "models/row_optimiser.py",
        "return still + (self._average[rows] - still) * kept.to(still).unsqueeze(-1)",
        "return self._average[rows]",
        _UNIT + "test_row_optimiser.py",
    ),
    Mutation(
        "metrics: ties count as won",
        "models/ctr_metrics.py",
        "ranks[order] = (first[run] + last[run]) / 2 - group_start + 1",
        "ranks[order] = last[run] - group_start + 1",
        _UNIT + "test_ctr_metrics.py::test_auc_counts_pairs",
    ),
    Mutation(
        "metrics: every user weighs the same in GAUC",
        "models/ctr_metrics.py",
        "(found.aucs * found.weights).sum() / found.weights.sum()",
        "found.aucs.mean()",
        _VECTORS + "test_metrics",
    ),
    Mutation(
        "metrics: RelaImpr is taken of 0, not of chance",
        "models/ctr_metrics.py",
        "((auc_model - 0.5) / (auc_base - 0.5) - 1) * 100",
        "(auc_model / auc_base - 1) * 100",
        _VECTORS + "test_metrics",
    ),
]
