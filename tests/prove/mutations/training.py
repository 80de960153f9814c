"""Mutations of training, of what a sample sees, and of the figures."""

from prove.mutations.mutation import Mutation

_VECTORS = "tests/golden/test_vectors.py::"
_UNIT = "tests/unit/models/"

TRAINING = [
    Mutation(
        "counts: an item is smoothed towards the overall rate, not its category's",
        "models/count_baseline.py",
        "item = self._smoothed_rate(items, clicks, train, category)",
        "item = self._smoothed_rate(items, clicks, train, overall)",
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
        'np.searchsorted(newest, seen, side="left")',
        'np.searchsorted(newest, seen, side="right")',
        _UNIT + "test_samples.py::test_only_strictly_earlier_events_are_seen",
    ),
    Mutation(
        "leak: time decides where offset and watermark should",
        "models/samples.py",
        "moments = by_offset or (",
        "moments = by_order or (",
        _UNIT + "test_samples.py::test_a_watermark_decides_whatever_the_times",
    ),
    Mutation(
        "leak: a training walk reads one event too many",
        "models/walks.py",
        "seen = positions - starts",
        "seen = positions - starts + 1",
        _UNIT + "test_training.py::test_training_reads_the_memory_that_the_scan_serves",
    ),
    Mutation(
        "training: what was not done is never presented as unknown",
        "models/request_batches.py",
        "rows = hiding.hide(Rows(drawn + 1, categories), known)",
        "rows = Rows(drawn + 1, categories)",
        _UNIT + "test_embedding_rows.py",
    ),
    Mutation(
        "training: the compiled unit's first sigmoid has the slope of a tanh",
        "models/unit_kernels.py",
        "to[d] *= row[d] * (_ONE - row[d])",
        "to[d] *= _ONE - row[d] * row[d]",
        _UNIT + "test_written_gradients.py",
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
