"""What a shop knows of its items today, beside what a bundle knows since its training.

A category or a price of the catalog replaces the bundle's; a category given with a request comes
first. An embedding is taken for items that the bundle was not trained on, which would share the
unknown row or a bucket otherwise: where it comes from (the content, similar items) is the shop's,
as long as it lives in the space of this bundle's item table. Trained embeddings stay.
"""

import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from models.vocabulary import (
    UNKNOWN_ROW,
    Ids,
    ItemColumns,
    Rows,
    Vocabulary,
    price_buckets,
    rows_of,
    taken,
)

if TYPE_CHECKING:
    from models.bundle import Bundle
    from models.ctr_model import CtrModel


@dataclass(frozen=True)
class Catalog:
    """Items, sorted by id.

    Attributes:
        items: Their ids, each once, ``[n]``.
        categories: Category ids, 0 where none is given, ``[n]``.
        prices: NaN where none is given, ``[n]``.
        embedded: Places of the items with an embedding, ascending, ``[m]``.
        embeddings: Theirs, ``[m, d]``.
    """

    items: Ids
    categories: Ids
    prices: NDArray[np.float32]
    embedded: Rows
    embeddings: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        items: Ids,
        categories: Ids,
        prices: NDArray[np.float32],
        has_embedding: NDArray[np.bool_],
        embeddings: NDArray[np.float32],
    ) -> Self:
        """Sort items, each given once.

        Args:
            items: Their ids, ``[n]``.
            categories: As kept.
            prices: As kept.
            has_embedding: Which have one, ``[n]``.
            embeddings: Theirs, in the order of the items, ``[m, d]``.
        """
        order = np.argsort(items)
        embedded = np.flatnonzero(has_embedding[order])
        number = np.cumsum(has_embedding) - 1
        return cls(
            items[order], categories[order], prices[order], embedded,
            embeddings[number[order][embedded]],
        )  # fmt: skip


@dataclass(frozen=True)
class CatalogVocabulary(Vocabulary):
    """A bundle's vocabulary, and what the catalog says.

    Attributes:
        listed: Items of the catalog, sorted, ``[n]``.
        listed_categories: Theirs, 0 where none is given, ``[n]``.
        listed_prices: Their price buckets, 0 where none is given, ``[n]``.
        added: Items that have a row of their own behind those of the bundle, sorted, ``[a]``.
    """

    listed: Ids = field(default_factory=lambda: np.zeros(0, np.uint64))
    listed_categories: Ids = field(default_factory=lambda: np.zeros(0, np.uint64))
    listed_prices: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    added: Ids = field(default_factory=lambda: np.zeros(0, np.uint64))

    @classmethod
    def of(cls, known: Vocabulary, catalog: Catalog, added: Ids) -> Self:
        """Join what is known.

        Args:
            known: The bundle's vocabulary.
            catalog: The items.
            added: Those of them that get a row of their own.
        """
        unit = known.price_unit
        priced = (
            price_buckets(catalog.prices.astype(np.float64) / unit)
            if unit
            else np.zeros(0, np.uint8)
        )
        own = {name: getattr(known, name) for name in Vocabulary.__dataclass_fields__}
        return cls(
            **own,
            listed=catalog.items,
            listed_categories=catalog.categories,
            listed_prices=priced,
            added=added,
        )

    def look_up(self, items: Ids, categories: Ids) -> ItemColumns:
        """Return all that is known: as given, else as listed, else as the bundle knows it."""
        listed = rows_of(self.listed, items)
        of_listed = taken(self.listed_categories, listed)
        found = super().look_up(items, np.where(categories != 0, categories, of_listed))
        rows, prices = found.items, taken(self.listed_prices, listed).astype(np.int64)
        if len(self.added):
            place = rows_of(self.added, items)
            first = self.table_rows.items - 1
            rows = np.where(place == UNKNOWN_ROW, rows, first + place)
        return found._replace(items=rows, prices=np.where(prices != 0, prices, found.prices))


def with_catalog(bundle: "Bundle", catalog: Catalog) -> "Bundle":
    """Return a bundle that knows the items of a catalog; it shares the weights of the other.

    Embeddings of another width than the bundle's are left out: they are another model's.

    Args:
        bundle: As loaded.
        catalog: The items.
    """
    from models.ranker import Ranker

    model, known = bundle.ranker.model, bundle.vocabulary
    added, embeddings = np.zeros(0, np.uint64), catalog.embeddings[:0]
    if embeddings.shape[1] == model.config.item_dim:
        candidates = catalog.items[catalog.embedded]
        new = rows_of(known.items, candidates) == UNKNOWN_ROW
        added, embeddings = candidates[new], catalog.embeddings[new]
    ranker = Ranker(
        _with_more_items(model, embeddings), CatalogVocabulary.of(known, catalog, added)
    )
    return replace(bundle, ranker=ranker)


def _with_more_items(model: "CtrModel", embeddings: NDArray[np.float32]) -> "CtrModel":
    """Return a model whose item tables have more rows; all other tensors are shared.

    Args:
        model: The model.
        embeddings: Of the further rows, ``[n, item_dim]``. In tables of other things than
            embeddings these rows are the unknown one.
    """
    import torch

    if not len(embeddings):
        return model
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    wider = copy.deepcopy(model, shared)
    for name in wider.id_tables["items"]:
        table = wider.get_submodule(name)
        weight = table.get_parameter("weight").detach()
        more = weight[UNKNOWN_ROW].expand(len(embeddings), -1)
        if table is wider.item_table:
            more = torch.from_numpy(embeddings)
        table.weight = torch.nn.Parameter(torch.cat((weight, more)), requires_grad=False)
    return wider
