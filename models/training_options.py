"""How to train, and what a training tells of itself while it runs."""

from collections.abc import Callable
from dataclasses import dataclass


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
            it may lose; 0: all count alike. What is asked of a model lies after its training.
        oldest_weight: What the oldest samples still count, beside 1 for the newest.
        average_over: Steps that the kept weights are averaged over (exponentially).
        window: Reach of a gradient in a memory, in events; at most twice as far.
        requests_at_once: Requests of a step of the optimiser, in each process of a ``torchrun``.
        part_size: Requests of a part of an epoch, or walks where histories are walked. A part holds
            whole users; at its beginning memories are scanned anew, at its end a training can be
            left and taken up again.
        memory_dropout: Share of requests trained without their memory.
        unknown_share: Share of items and users trained as unknown, see ``request_batches.Hiding``.
        memory_penalty: Weight of the memory's own regulariser; None: the memory's default.
        patience: Epochs without a better validation AUC before the end.
        validation_requests: At most this many are scored after an epoch.
        seed: Of weights, order and dropout.
    """

    epochs: int = 6
    learning_rate: float = 3e-3
    decay: float = 0.7
    row_decay: float = 0.01
    user_decay: float = 0.1
    row_regulariser: float = 0.0
    half_life_days: float = 0.0
    oldest_weight: float = 0.2
    average_over: int = 100
    window: int = 20
    requests_at_once: int = 128
    part_size: int = 65_536
    memory_dropout: float = 0.15
    unknown_share: float = 0.1
    memory_penalty: float | None = None
    patience: int = 2
    validation_requests: int = 10_000
    seed: int = 0


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
