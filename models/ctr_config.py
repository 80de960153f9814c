"""Sizes and parts of a composed click model; no torch, so that every room may read a manifest."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from models.registry import load_class, memory_model, parse_name, reader_model
from models.value_ranges import Count, Dropout, Size

TriggerUse = Literal["none", "input", "attention"]
_PAGE_DIM = 4


@dataclass(frozen=True)
class CtrConfig:
    """Sizes and parts of a composed model.

    Attributes:
        reader: Name of the short-term reader.
        reader_config: Its sizes and forms.
        memory: Name of the long-term memory, None for none.
        memory_config: Its sizes.
        n_item_buckets: Rows for items that came after training, by their hash; 0: they share the
            unknown row. An item of the same bucket counts as the same item.
        item_dim: Width of an item embedding.
        category_dim: Width of a category embedding.
        user_dim: Width of a user embedding, 0: users are not told apart by their id.
        factor_dim: Width of the factors of a factorisation of user and item that is added to the
            logit, 0: none.
        factor_behaviors: Whether a user's factors are those of its behaviors too, not of its id
            only.
        time_dim: Width of the embeddings of hour and of weekday (UTC), 0: none.
        price_dim: Width of the embedding of a candidate's price bucket, 0: none.
        n_pages: Page numbers told apart, higher ones count as the last, 0: none.
        history_length: Newest behaviors that the reader sees.
        restart_every: If not 0, the reader's behaviors begin at a multiple of so many events of the
            user, with at least ``history_length`` of them: a recurrence then starts at the same
            event for many requests, and one scan of the history serves them all. Recurrent readers
            only. What stands beside the reader (``activity``, ``factor_behaviors``) reads from that
            event on as well.
        search_length: Newest behaviors of a category that a search finds.
        n_types: Event types that are told apart, 0: none.
        typed: Whether the event type scales and shifts a behavior's embedding.
        activity: Whether the MLP sees the shares of event types and the newest behavior's age.
        n_ages: Buckets of that age.
        n_counts: Half-lives with which the MLP sees what the user did in the candidate's category,
            counted over the stored sub-sequence, see ``category_counts``; 0: none.
        trigger: ``none``; ``input``: the trigger is an input of the MLP ("+TR"); ``attention``: the
            reader attends with it ("+TRA", and the models made for triggers).
        mlp_hidden: Hidden widths of the MLP.
        activation: ``dice`` or ``prelu``.
        dropout: Share of the MLP's hidden units left out in training.
    """

    reader: str = "din"
    reader_config: dict[str, Any] = field(default_factory=dict)
    memory: str | None = None
    memory_config: dict[str, Any] = field(default_factory=dict)
    n_item_buckets: Size = 0
    item_dim: Count = 16
    category_dim: Count = 16
    user_dim: Size = 0
    factor_dim: Size = 0
    factor_behaviors: bool = False
    time_dim: Size = 0
    price_dim: Size = 0
    n_pages: Size = 10
    history_length: Count = 100
    restart_every: Size = 0
    search_length: Count = 50
    n_types: int = 7
    typed: bool = True
    activity: bool = True
    n_ages: Count = 24
    n_counts: Size = 0
    trigger: TriggerUse = "input"
    mlp_hidden: tuple[Count, ...] = (64, 32)
    activation: Literal["dice", "prelu"] = "dice"
    dropout: Dropout = 0.0

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build from a manifest's values."""
        return cls(**{**values, "mlp_hidden": tuple(values["mlp_hidden"])})

    def to_dict(self) -> dict[str, Any]:
        """Return the values for a manifest."""
        return asdict(self)

    def window_starts(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the first event that the reader sees of users with so many events, ``[n]``."""
        starts = np.maximum(positions - self.history_length, 0)
        if self.restart_every:
            starts -= starts % self.restart_every
        return starts

    @property
    def longest_window(self) -> int:
        """Most behaviors that the reader ever sees."""
        return self.history_length + max(self.restart_every - 1, 0)

    @property
    def dim(self) -> int:
        """Width of an event and of a candidate."""
        return self.item_dim + self.category_dim

    @property
    def knows_users(self) -> bool:
        """Whether users are told apart by their id."""
        return self.user_dim > 0 or self.factor_dim > 0

    @property
    def reads_trigger(self) -> bool:
        """Whether any part sees the item that the user came from."""
        return self.trigger != "none" or reader_model(self.reader).trigger == "own"

    @property
    def page_dim(self) -> int:
        """Width of the embedding of a page number."""
        return _PAGE_DIM if self.n_pages else 0

    @property
    def request_dim(self) -> int:
        """Width of what is known of user and context."""
        return self.user_dim + self.page_dim + 2 * self.time_dim

    @property
    def name(self) -> str:
        """The model's name, see ``registry.parse_name``."""
        attends = self.trigger == "attention" and reader_model(self.reader).trigger == "optional"
        parts = (self.reader, "tra" if attends else "", self.memory or "")
        return "+".join(part for part in parts if part)


def default_config(model: str, n_types: int, history_length: int = 100) -> CtrConfig:
    """Return the sizes that need no tuning, by model name.

    Raises:
        ConfigurationError: There is no such model.
    """
    parts = parse_name(model)
    restart_every = history_length // 2 if reader_model(parts.reader).recurrent else 0
    config = CtrConfig(
        reader=parts.reader,
        memory=parts.memory,
        n_types=n_types,
        history_length=history_length - restart_every,
        restart_every=restart_every,
        trigger="attention" if parts.reads_trigger else "input",
    )
    if parts.memory is None:
        return config
    sizes = load_class(memory_model(parts.memory).config)(
        item_dim=config.item_dim, category_dim=config.category_dim
    )
    return replace(config, memory_config=sizes.to_dict())
