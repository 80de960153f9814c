"""Mutations of the comparison models that pool, and of DMIN."""

from prove.mutations.mutation import Mutation

_POOLING = "tests/contract/test_pooling_reader_twins.py::"
_DMIN = "tests/contract/test_dmin_twin.py"

POOLING_READERS = [
    Mutation(
        "emb-mlp: mean and sum are exchanged",
        "models/pooling.py",
        'if pooling == "mean" else total',
        'if pooling == "sum" else total',
        _POOLING + "test_emb_mlp_equals_its_twin",
    ),
    Mutation(
        "emb-mlp: padding is pooled",
        "models/pooling.py",
        "real = behaviors.mask.unsqueeze(-1).to(behaviors.keys.dtype)",
        "real = behaviors.keys.new_ones(*behaviors.mask.shape, 1)",
        _POOLING + "test_emb_mlp_equals_its_twin",
    ),
    Mutation(
        "wide-deep: the weights of the product with the behaviors are added to them",
        "models/wide_deep.py",
        "direction = of_candidate + pool * of_product",
        "direction = of_candidate + pool + of_product",
        _POOLING + "test_wide_deep_equals_its_twin",
    ),
    Mutation(
        "wide-deep: the cross of id and history counts behaviors",
        "models/wide_deep.py",
        "(seen.same * real).amax(1)",
        "(seen.same * real).sum(1)",
        _POOLING + "test_wide_deep_equals_its_twin",
    ),
    Mutation(
        "pnn: a field is multiplied with itself only",
        "models/pnn.py",
        "(first, first), (first, second)",
        "(first, first), (first, first)",
        _POOLING + "test_a_linear_layer_over_what_pnn_reads_is_the_product_layer",
    ),
    Mutation(
        "dmin: a behavior attends to later ones",
        "models/dmin.py",
        "config.refiner_heads, causal=True",
        "config.refiner_heads",
        "tests/unit/models/test_dmin.py",
    ),
    Mutation(
        "dmin: a head forgets what it refines",
        "models/dmin.py",
        "self.norm(refined + self.out(head))",
        "self.norm(self.out(head))",
        _DMIN,
    ),
    Mutation(
        "dmin: a candidate is compared as small as it is",
        "models/dmin.py",
        "query = self.query_norm(candidates)",
        "query = candidates",
        _DMIN,
    ),
    Mutation(
        "dmin: positions count from the oldest behavior",
        "models/dmin.py",
        "(mask.sum(1, keepdim=True) - 1 - at).clamp_min(0)",
        "at.expand_as(mask)",
        _DMIN,
    ),
]
