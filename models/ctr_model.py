"""The composed click model: a reader of recent behaviors, a long-term memory or none, one MLP.

Every model of the registry is this composition. What belongs to no paper: the products of a
candidate with what it found, the flag that says whether there is a memory, and as further inputs of
the MLP the page, the user's activity and the trigger item (as in the "+TR" baselines of the DEI2N
paper).
"""

from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.din import BehaviorBatch, SideInputs
from models.layers import Perceptron
from models.registry import READERS, load_class, memory_model, split_name
from models.vocabulary import UNKNOWN_ROW

_INITIAL_STD = 0.05


@dataclass(frozen=True)
class CtrConfig:
    """Sizes and parts of a composed model.

    Attributes:
        reader: Name of the short-term reader.
        memory: Name of the long-term memory, None for none.
        memory_config: Its sizes.
        item_dim: Width of an item embedding.
        category_dim: Width of a category embedding.
        history_length: Newest behaviors that the reader sees.
        attention_hidden: Hidden widths of the activation unit.
        attention_weighting: ``paper``, ``softmax`` or ``scaled_softmax``.
        n_types: Event types that the reader tells apart, 0: none.
        n_ages: Buckets of behavior age, 0: none.
        same: Whether the reader is told which behaviors are of the candidate's item and category.
        activity: Whether the MLP sees the shares of event types and the newest behavior's age.
        n_pages: Page numbers told apart, higher ones count as the last, 0: none.
        trigger: Whether the item that the user came from is an input.
        mlp_hidden: Hidden widths of the MLP.
        activation: ``dice`` or ``prelu``.
    """

    reader: str = "din"
    memory: str | None = None
    memory_config: dict[str, Any] = field(default_factory=dict)
    item_dim: int = 16
    category_dim: int = 16
    history_length: int = 100
    attention_hidden: tuple[int, int] = (36, 16)
    attention_weighting: str = "paper"
    n_types: int = 7
    n_ages: int = 24
    same: bool = True
    activity: bool = True
    n_pages: int = 10
    trigger: bool = True
    mlp_hidden: tuple[int, ...] = (64, 32)
    activation: str = "dice"

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build from a manifest's values."""
        tuples = {name: tuple(values[name]) for name in ("attention_hidden", "mlp_hidden")}
        return cls(**{**values, **tuples})

    def to_dict(self) -> dict[str, Any]:
        """Return the values for a manifest."""
        return asdict(self)

    @property
    def dim(self) -> int:
        """Width of an event and of a candidate."""
        return self.item_dim + self.category_dim


class RequestBatch(NamedTuple):
    """Requests as rows of the tables; ``s`` requests, ``t`` behaviors, ``n`` candidates."""

    items: Tensor  # [s, t] rows of the behaviors' items
    categories: Tensor  # [s, t]
    types: Tensor  # [s, t]
    ages: Tensor  # [s, t]
    mask: Tensor  # [s, t] True where there is a behavior
    candidate_items: Tensor  # [s, n]
    candidate_categories: Tensor  # [s, n]
    candidate_mask: Tensor  # [s, n] True where there is a candidate
    pages: Tensor  # [s] bucket of the page, 0 where it has none
    triggers: Tensor  # [s] rows of the items that the users came from
    trigger_categories: Tensor  # [s]
    trigger_mask: Tensor  # [s] True where there is a trigger


class CtrModel(nn.Module):
    """Click probability of candidates.

    Args:
        config: Parts and sizes.
        n_items: Rows of the item table, the unknown row included.
        n_categories: Rows of the category table, the unknown row included.
    """

    def __init__(self, config: CtrConfig, n_items: int, n_categories: int) -> None:
        super().__init__()
        self.config = config
        self.item_table = nn.Embedding(n_items, config.item_dim)
        self.category_table = nn.Embedding(n_categories, config.category_dim)
        nn.init.normal_(self.item_table.weight, std=_INITIAL_STD)
        nn.init.normal_(self.category_table.weight, std=_INITIAL_STD * 2)
        self.reader = load_class(READERS[config.reader])(
            config.dim,
            config.attention_hidden,
            config.attention_weighting,
            SideInputs(config.n_types, config.n_ages, config.same),
        )
        self.memory: Any = None
        width = config.dim + self.reader.interest_dim
        if config.memory is not None:
            found = memory_model(config.memory)
            sizes = load_class(found.config).from_dict(config.memory_config)
            self.memory = load_class(found.module)(sizes)
            width += self.memory.interest_dim + 1
        self.page_table = nn.Embedding(config.n_pages + 1, 4) if config.n_pages else None
        if self.page_table is not None:
            width += self.page_table.embedding_dim
        self.idle_table = None
        if config.activity:
            self.idle_table = nn.Embedding(config.n_ages + 1, 4)
            width += self.idle_table.embedding_dim + config.n_types + 1
        if config.trigger:
            width += 2 * config.dim + 1
        self.mlp = Perceptron(width, config.mlp_hidden, config.activation)

    def embed(self, items: Tensor, categories: Tensor) -> Tensor:
        """Return the embeddings of (item, category) rows, ``[..., dim]``."""
        return torch.cat((self.item_table(items), self.category_table(categories)), -1)

    def forward(self, batch: RequestBatch, state: Any = None, present: Any = None) -> Tensor:
        """Return the logits of the real candidates, in request order, ``[n_candidates]``.

        Args:
            batch: The requests.
            state: Memory state of each request, None for a model without memory.
            present: Whether each request's memory may be read, ``[s]`` bool.
        """
        candidates = self.embed(batch.candidate_items, batch.candidate_categories)
        parts = [
            candidates,
            self.reader(candidates, self._behaviors(batch)),
        ]
        n = candidates.shape[1]
        if self.memory is not None:
            flag = present.to(candidates.dtype)[:, None, None].expand(-1, n, 1)
            parts += [self.memory.interest(state, candidates) * flag, flag]
        if self.page_table is not None:
            parts.append(self.page_table(batch.pages).unsqueeze(1).expand(-1, n, -1))
        if self.idle_table is not None:
            parts.append(self._activity(batch, self.idle_table).unsqueeze(1).expand(-1, n, -1))
        if self.config.trigger:
            parts += self._trigger(batch, candidates)
        return self.mlp(torch.cat(parts, -1)[batch.candidate_mask]).squeeze(-1)  # type: ignore[no-any-return]

    def _behaviors(self, batch: RequestBatch) -> BehaviorBatch:
        """Embed the behaviors; unknown items and categories are the same as nothing."""
        pairs = (
            (batch.items, batch.candidate_items),
            (batch.categories, batch.candidate_categories),
        )
        same = [
            (own.unsqueeze(2) == theirs.unsqueeze(1)) & (own != UNKNOWN_ROW).unsqueeze(2)
            for own, theirs in pairs
        ]
        embedded = self.embed(batch.items, batch.categories)
        return BehaviorBatch(
            embedded, batch.mask, batch.types, batch.ages, torch.stack(same, -1).to(embedded.dtype)
        )

    def _activity(self, batch: RequestBatch, idle_table: nn.Embedding) -> Tensor:
        """Return age of the newest behavior and shares of event types, ``[s, width]``."""
        lengths = batch.mask.sum(1)
        at = torch.arange(batch.mask.shape[1], device=lengths.device)
        newest = (at == (lengths - 1).unsqueeze(1)).to(batch.ages.dtype)
        # Bucket 0 stands for a user without behaviors.
        idle = ((batch.ages + 1) * newest).sum(1)
        kinds = nn.functional.one_hot(batch.types, self.config.n_types + 1).to(torch.float32)
        shares = (kinds * batch.mask.unsqueeze(-1)).sum(1) / lengths.clamp_min(1).unsqueeze(1)
        return torch.cat((idle_table(idle), shares), -1)

    def _trigger(self, batch: RequestBatch, candidates: Tensor) -> list[Tensor]:
        """Return the trigger, its product with each candidate, and whether there is one."""
        flag = batch.trigger_mask.to(candidates.dtype)[:, None, None]
        flag = flag.expand(-1, candidates.shape[1], 1)
        trigger = self.embed(batch.triggers, batch.trigger_categories).unsqueeze(1) * flag
        return [trigger, trigger * candidates, flag]


def default_config(model: str, n_types: int, history_length: int = 100) -> CtrConfig:
    """Return the sizes that need no tuning, by model name.

    Raises:
        ConfigurationError: There is no such model.
    """
    reader, memory = split_name(model)
    config = CtrConfig(reader=reader, memory=memory, n_types=n_types, history_length=history_length)
    if memory is None:
        return config
    sizes = load_class(memory_model(memory).config)(
        item_dim=config.item_dim, category_dim=config.category_dim
    )
    return replace(config, memory_config=sizes.to_dict())


def weights_of(model: CtrModel) -> dict[str, NDArray[Any]]:
    """Return every tensor of the model as a numpy copy, by name."""
    return {
        name: np.array(tensor.detach().cpu().numpy()) for name, tensor in model.state_dict().items()
    }
