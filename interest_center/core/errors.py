"""Every error of the project: one root, so that a caller can tell our refusals from bugs."""

#: The way out when a stored copy cannot be used.
MOVE_COPY_AWAY = "move the copy away; the worker then starts from a snapshot or the topic"


class InterestCenterError(Exception):
    """Root of all operating errors.

    Args:
        message: A short fact with values, lower case, no full stop.
        hint: What the operator does about it; shown after the message by the command line.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ConfigurationError(InterestCenterError):
    """A setting, option or file given by the operator cannot be used as it is."""


class StoreError(InterestCenterError):
    """The store of a partition cannot be opened, read or written."""


class DamagedStoreError(StoreError):
    """Files of a store are missing, or hold other bytes than were written."""


class CorruptRecordError(InterestCenterError):
    """Stored bytes are not a record of this layout; they are refused, never guessed."""


#: What says that a copy is of no use any more; the log or a snapshot makes another one.
DAMAGED = (DamagedStoreError, CorruptRecordError)


class LogMismatchError(InterestCenterError):
    """The event log is not the one that the stored state was computed from."""


class StateMismatchError(LogMismatchError):
    """The stored copy follows other rules or another layout: it is not a start, set it aside."""


class PartitionCountError(LogMismatchError):
    """The topic has another number of partitions than the states were computed for."""

    def __init__(self, topic: str, before: int, now: int) -> None:
        super().__init__(
            f"topic {topic} has {now} partitions, the states were computed from {before}",
            hint="a user's partition follows from the count: copy the events into a new topic with "
            f"`uic topics rekey NEW --partitions {now}`, and name it by UIC_EVENTS_TOPIC",
        )


class TruncatedLogError(LogMismatchError):
    """The event log no longer holds the next event that the stored state needs."""


class BundleError(InterestCenterError):
    """A model bundle on disk is incomplete, damaged or of another format."""


class NotReadyError(InterestCenterError):
    """The partition cannot answer yet; ask again later.

    Args:
        message: Why.
        retry_after_seconds: When to ask again.
    """

    def __init__(self, message: str, retry_after_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class OverloadedError(NotReadyError):
    """More is asked at once than is answered in good time; ask again later."""


class BadRequestError(InterestCenterError):
    """A request has a wrong field.

    Args:
        message: What is wrong with it.
        field: Dotted path of the field, for example ``candidates[3].item_id``.
    """

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field
