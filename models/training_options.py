"""How to train, and what a training tells of itself while it runs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta

from models.value_ranges import Count, Rate, Share


@dataclass(frozen=True)
class TrainingOptions:
    """How to train; the defaults need no tuning.

    Attributes:
        epochs: At most this many passes over the training requests.
        learning_rate: Of Adam in the first epoch.
        decay: Factor of the learning rate from epoch to epoch.
        row_decay: Decay of the rows of items and categories of a batch, see ``row_optimiser``.
        user_decay: Decay of the rows of users.
        row_regulariser: Rate of the mini-batch aware regulariser of the DIN paper.
        half_life_days: Age, before the last training sample, at which a sample counts half of what
            it may lose, see ``sample_weights``; 0: all count alike. What is asked of a model lies
            after its training.
        average_over: Steps that the kept weights are averaged over (exponentially).
        window: Reach of a gradient in a memory, in events; at most twice as far.
        requests_at_once: Requests of a step of the optimiser, in each process of a ``torchrun``.
        part_size: Requests of a part of an epoch, or walks where histories are walked. A part holds
            whole users; at its beginning memories are scanned anew, at its end a training can be
            left and taken up again.
        memory_dropout: Share of requests trained without their memory.
        unknown_share: Share of items and users trained as unknown, see ``embedding_rows.Hiding``.
        memory_penalty: Weight of the memory's own regulariser; None: the memory's default.
        patience: Epochs without a better validation AUC before the end.
        validation_requests: At most this many are scored after an epoch.
        seed: Of weights, order and dropout.
    """

    epochs: Count = 6
    learning_rate: Rate = 3e-3
    decay: Rate = 0.7
    row_decay: Rate = 0.01
    user_decay: Rate = 0.1
    row_regulariser: Rate = 0.0
    half_life_days: Rate = 0.0
    average_over: Count = 100
    window: Count = 20
    requests_at_once: Count = 128
    part_size: Count = 65_536
    memory_dropout: Share = 0.15
    unknown_share: Share = 0.1
    memory_penalty: Rate | None = None
    patience: Count = 2
    validation_requests: Count = 10_000
    seed: Annotated[int, Meta(ge=0, lt=2**32)] = 0


@dataclass(frozen=True)
class Progress:
    """What training tells of itself; everything defaults to silence.

    Attributes:
        on_requests: Requests trained.
        on_memories: Requests whose memory was walked to, before they are trained.
        on_validated: Requests scored for validation.
        on_step: Click loss of a step, by its number from 1.
        on_epoch: An epoch is over.
        on_part: A part of an epoch is over: the training can be left and taken up again here.
    """

    on_requests: Callable[[int], None] = lambda _: None
    on_memories: Callable[[int], None] = lambda _: None
    on_validated: Callable[[int], None] = lambda _: None
    on_step: Callable[[int, float], None] = lambda _step, _loss: None
    on_epoch: Callable[[int, dict[str, float]], None] = lambda _epoch, _figures: None
    on_part: Callable[[], None] = lambda: None


@dataclass
class Position:
    """How far a training is.

    Attributes:
        epoch: Number of the running epoch.
        part: Parts of it that are done.
        step: Steps done.
        losses: Sum of the click losses of the epoch's samples, and their number.
        epochs: Figures of the epochs that are over.
        best: Index of the best of them.
    """

    epoch: int = 0
    part: int = 0
    step: int = 0
    losses: tuple[float, int] = (0.0, 0)
    epochs: list[dict[str, float]] = field(default_factory=list)
    best: int = 0
