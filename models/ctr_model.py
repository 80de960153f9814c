"""The composed click model: a reader of recent behaviors, a long-term memory or none, one MLP.

Every model of the registry is this composition. What belongs to no paper: the products of a
candidate with what it found, the flag that says whether there is a memory, event types that scale
and shift a behavior's embedding, and as further inputs of the MLP user, page, hour, weekday, price,
the user's activity, counts of what it did in the candidate's category, and the trigger item (as in
the "+TR" baselines of the DEI2N paper).
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.category_counts import CategoryCounts
from models.ctr_config import CtrConfig
from models.factorisation import Factorisation, PastFactors
from models.id_table import IdTable, look_up_both
from models.layers import Perceptron
from models.reading import Behaviors, Reader, ReaderInputs, Seen, age_buckets
from models.registry import load_class, memory_model, reader_model
from models.request_rows import BehaviorRows, RequestBatch
from models.vocabulary import N_PRICES, UNKNOWN_ROW, TableRows

_INITIAL_STD = 0.05
_HOURS, _WEEKDAYS = 24, 7
_IDLE_DIM = 4


class Scored(NamedTuple):
    """Logits of the real candidates, in request order, and the reader's own loss if it has one."""

    logits: Tensor  # [n_candidates]
    loss: Tensor | None


class CtrModel(nn.Module):
    """Click probability of candidates.

    Args:
        config: Parts and sizes.
        rows: Rows of the embedding tables, unknown rows included.
    """

    def __init__(self, config: CtrConfig, rows: TableRows) -> None:
        super().__init__()
        self.config = config
        self.item_table = IdTable(rows.items, config.item_dim, _INITIAL_STD)
        self.category_table = IdTable(rows.categories, config.category_dim, _INITIAL_STD * 2)
        self.user_table = None
        if config.user_dim:
            self.user_table = IdTable(rows.users, config.user_dim, _INITIAL_STD)
        self.page_table = _table(config.n_pages + 1, config.page_dim)
        self.hour_table = _table(_HOURS, config.time_dim)
        self.weekday_table = _table(_WEEKDAYS, config.time_dim)
        self.price_table = _table(N_PRICES, config.price_dim)
        self.idle_table = _table(max(config.n_ages, 1) + 1, _IDLE_DIM if config.activity else 0)
        self.type_scale = self.type_shift = None
        if config.typed and config.n_types:
            self.type_scale = nn.Parameter(torch.zeros(config.n_types + 1, config.dim))
            self.type_shift = nn.Parameter(torch.zeros(config.n_types + 1, config.dim))
        self.factors = _factorisation(config, rows)
        self.reader = _reader(config)
        self.memory: Any = _memory(config)
        self.counts = CategoryCounts(config.n_counts, config.n_types) if config.n_counts else None
        width = self._input_dim
        self.mlp = Perceptron(width, config.mlp_hidden, config.activation, config.dropout)

    @property
    def _input_dim(self) -> int:
        """Width of what the MLP sees of a candidate."""
        config = self.config
        width = config.dim + config.request_dim + config.price_dim + self.reader.interest_dim
        if self.memory is not None:
            width += self.memory.interest_dim + 1
        if config.activity:
            width += _IDLE_DIM + config.n_types + 1
        if config.trigger == "input":
            width += 2 * config.dim + 1
        return width + config.n_counts

    @property
    def searches_candidates(self) -> bool:
        """Whether the sub-sequences of the candidates' categories are read."""
        return self.reader.searches_candidates or self.counts is not None

    @property
    def id_tables(self) -> dict[str, list[str]]:
        """Names of the tables of ids, by what they are tables of."""
        found: dict[str, list[str]] = {
            "items": ["item_table"], "categories": ["category_table"], "users": []
        }  # fmt: skip
        if self.user_table is not None:
            found["users"].append("user_table")
        if self.factors is not None:
            for kind, names in found.items():
                names.append(f"factors.{kind}")
            if self.factors.past is not None:
                found["items"].append("factors.past.items")
                found["categories"].append("factors.past.categories")
        return found

    def embed(self, items: Tensor, categories: Tensor) -> Tensor:
        """Return the embeddings of (item, category) rows, ``[..., dim]``."""
        return look_up_both((self.item_table, self.category_table), (items, categories))

    def forward(self, batch: RequestBatch, state: Any = None, present: Any = None) -> Scored:
        """Score the real candidates.

        Args:
            batch: The requests.
            state: Memory state of each request, None for a model without memory.
            present: Whether each request's memory may be read, ``[s]`` bool.
        """
        seen = self.see(batch)
        reading = self.reader(seen)
        candidates = seen.candidates
        n = candidates.shape[1]
        shared = [seen.request]
        parts = [candidates, reading.interest]
        if self.memory is not None:
            flag = present.to(candidates.dtype)[:, None, None].expand(-1, n, 1)
            parts += [self.memory.interest(state, candidates) * flag, flag]
        if self.price_table is not None:
            parts.append(self.price_table(batch.candidate_prices))
        if self.counts is not None:
            assert batch.found is not None, "counts are taken over sub-sequences"
            assert batch.group is not None, "found belongs to groups"
            parts.append(self.counts.of_candidates(batch.found, batch.group))
        if self.idle_table is not None:
            shared += self._activity(batch.behaviors, self.idle_table)
        if self.config.trigger == "input":
            flag = seen.has_trigger.to(candidates.dtype).unsqueeze(1)
            shared += [seen.trigger, flag]
            parts.append(seen.trigger.unsqueeze(1) * candidates)
        parts.append(torch.cat(shared, -1).unsqueeze(1).expand(-1, n, -1))
        real = _of_real(torch.cat(parts, -1), batch.candidate_mask)
        logits = self.mlp(real).squeeze(-1)
        if self.factors is not None:
            items, categories = batch.candidate_items, batch.candidate_categories
            added = self.factors(batch.users, items, categories, batch.behaviors)
            logits = logits + _of_real(added, batch.candidate_mask)
        if reading.logits is not None:
            logits = logits + _of_real(reading.logits, batch.candidate_mask)
        return Scored(logits, reading.loss)

    def see(self, batch: RequestBatch) -> Seen:
        """Embed what the reader may read."""
        candidates = self.embed(batch.candidate_items, batch.candidate_categories)
        negatives = None
        if batch.negative_items is not None and batch.negative_categories is not None:
            # Of the same event types: they would tell what was done from what was not.
            beside = batch.behaviors if batch.walk is None else batch.walk
            rows = {"items": batch.negative_items, "categories": batch.negative_categories}
            negatives = self._behaviors(beside._replace(**rows)).keys
        walk = self._optional(batch.walk)
        return Seen(
            candidates=candidates,
            candidate_mask=batch.candidate_mask,
            behaviors=self._windows(batch, walk),
            walk=walk,
            walk_at=batch.walk_at,
            request=self._request(batch, candidates),
            trigger=self._trigger(batch, candidates),
            has_trigger=batch.trigger_mask,
            same_category_as_trigger=_of_trigger_category(batch),
            same=self._same(batch.behaviors, batch.candidate_items, batch.candidate_categories),
            same_as_trigger=self._same(
                batch.behaviors, batch.triggers[:, None], batch.trigger_categories[:, None]
            ),
            trigger_behaviors=self._optional(batch.trigger_behaviors),
            found=self._optional(batch.found) if self.reader.searches_candidates else None,
            group=batch.group,
            negatives=negatives,
            clicked=batch.clicked,
        )

    def _trigger(self, batch: RequestBatch, like: Tensor) -> Tensor:
        """Return the embedded triggers, ``[s, D]``; ``[s, 0]`` where no part sees them."""
        if not self.config.reads_trigger:
            return like.new_zeros(len(batch.triggers), 0)
        flag = batch.trigger_mask.to(like.dtype).unsqueeze(-1)
        return self.embed(batch.triggers, batch.trigger_categories) * flag

    def _behaviors(self, rows: BehaviorRows) -> Behaviors:
        keys = self.embed(rows.items, rows.categories)
        if self.type_scale is not None and self.type_shift is not None:
            keys = torch.addcmul(
                keys + nn.functional.embedding(rows.types, self.type_shift),
                keys,
                nn.functional.embedding(rows.types, self.type_scale),
            )
        return Behaviors(keys, rows.mask, rows.types, rows.ages_ms)

    def _windows(self, batch: RequestBatch, walk: Behaviors | None) -> Behaviors:
        """Return the requests' own behaviors, as windows of the walk if there is one."""
        if walk is None or batch.walk_at is None:
            return self._behaviors(batch.behaviors)
        rows = batch.behaviors
        keys = nn.functional.embedding(batch.walk_at, walk.keys.flatten(0, 1))
        return Behaviors(keys, rows.mask, rows.types, rows.ages_ms)

    def _optional(self, rows: BehaviorRows | None) -> Behaviors | None:
        return None if rows is None else self._behaviors(rows)

    def _request(self, batch: RequestBatch, like: Tensor) -> Tensor:
        """Return user and context, ``[s, request_dim]``."""
        looked_up = (
            (self.user_table, batch.users),
            (self.page_table, batch.pages),
            (self.hour_table, batch.hours),
            (self.weekday_table, batch.weekdays),
        )
        parts = [table(rows) for table, rows in looked_up if table is not None]
        return torch.cat(parts, -1) if parts else like.new_zeros(len(batch.users), 0)

    def _same(self, own: BehaviorRows, items: Tensor, categories: Tensor) -> Tensor:
        """Tell which behaviors are of these, ``[s, n]``; unknown ones are the same as nothing."""
        dtype = self.item_table.weight.dtype
        if not self.reader.compares:
            return own.mask.new_zeros(*own.items.shape, items.shape[1], 0, dtype=dtype)
        same = [
            (mine.unsqueeze(2) == theirs.unsqueeze(1)) & (mine != UNKNOWN_ROW).unsqueeze(2)
            for mine, theirs in ((own.items, items), (own.categories, categories))
        ]
        return torch.stack(same, -1).to(dtype)

    def _activity(self, own: BehaviorRows, idle_table: nn.Embedding) -> list[Tensor]:
        """Return age of the newest behavior and shares of event types, ``[s, width]``."""
        lengths = own.mask.sum(1)
        at = torch.arange(own.mask.shape[1], device=lengths.device)
        newest = (at == (lengths - 1).unsqueeze(1)).to(torch.int64)
        # Bucket 0 stands for a user without behaviors.
        idle = ((age_buckets(own.ages_ms, self.config.n_ages) + 1) * newest).sum(1)
        kinds = nn.functional.one_hot(own.types, self.config.n_types + 1).to(torch.float32)
        shares = (kinds * own.mask.unsqueeze(-1)).sum(1) / lengths.clamp_min(1).unsqueeze(1)
        return [idle_table(idle), shares]


def _reader(config: CtrConfig) -> Reader:
    found = reader_model(config.reader)
    attends = config.trigger == "attention"
    inputs = ReaderInputs(
        config.dim,
        config.request_dim,
        config.n_types,
        config.history_length,
        attends,
        config.item_dim,
    )
    reader: Reader = load_class(found.module)(
        load_class(found.config)(**config.reader_config), inputs
    )
    return reader


def _memory(config: CtrConfig) -> Any:
    if config.memory is None:
        return None
    found = memory_model(config.memory)
    return load_class(found.module)(load_class(found.config).from_dict(config.memory_config))


def _factorisation(config: CtrConfig, rows: TableRows) -> Factorisation | None:
    if not config.factor_dim:
        return None
    past = None
    if config.factor_behaviors:
        n_types = config.n_types if config.typed else 0
        past = PastFactors(rows, config.factor_dim, n_types)
    return Factorisation(rows, config.factor_dim, past)


def _of_real(of_candidates: Tensor, mask: Tensor) -> Tensor:
    """Return what belongs to candidates that are there, ``[n_real, ...]`` of ``[s, n, ...]``."""
    # A request alone has no others, and need not be copied.
    return of_candidates.flatten(0, 1) if bool(mask.all()) else of_candidates[mask]


def _of_trigger_category(batch: RequestBatch) -> Tensor:
    """Tell which candidates are of the trigger's category, ``[s, n]``."""
    known = batch.trigger_mask & (batch.trigger_categories != UNKNOWN_ROW)
    same = batch.candidate_categories == batch.trigger_categories.unsqueeze(1)
    return same & known.unsqueeze(1)


def _table(n_rows: int, dim: int) -> nn.Embedding | None:
    """Return an embedding table, None when it has no width."""
    if not dim:
        return None
    table = nn.Embedding(n_rows, dim)
    nn.init.normal_(table.weight, std=_INITIAL_STD)
    return table


def weights_of(model: CtrModel) -> dict[str, NDArray[Any]]:
    """Return every tensor of the model as a numpy copy, by name."""
    return {
        name: np.array(tensor.detach().cpu().numpy()) for name, tensor in model.state_dict().items()
    }
