"""Messages of the binary multi-get: many users' states in one round trip, as MessagePack.

``POST /v1/states:multiGet`` takes a ``StatesRequest`` and answers with a ``StatesAnswer``, both
``application/msgpack``. The records inside are the stored bytes; ``core/records.py`` decodes them.
"""

import msgspec

MSGPACK_MEDIA_TYPE = "application/msgpack"

#: Set on a request that a worker passes on to the owner of the user; it goes no further.
FORWARDED_HEADER = "x-uic-forwarded"


class StatesRequest(msgspec.Struct, frozen=True):
    """Which states to read.

    Attributes:
        users: User ids as sent in the events.
        categories: Categories whose sub-sequences are wanted of every user, as 64-bit ids
            (``core/ids.py``): a bundle knows no others.
        memory: Whether the long-term memory is wanted.
    """

    users: list[str]
    categories: list[int] = []
    memory: bool = True


class UserState(msgspec.Struct, frozen=True):
    """The state of one user, all records taken at the same watermark.

    Attributes:
        user_id: As asked for.
        partition: Partition that owns the user.
        watermark: Next offset of that partition: every earlier event is in this state.
        profile: Profile record, None for a user without events.
        memory: Memory record, None when there is none that may be read.
        memory_fingerprint: Weights that wrote ``memory``; 0 when this worker keeps no memory.
        memory_from: First offset that ``memory`` has seen, None when there is no memory.
        subsequences: Sub-sequence record by category as asked for; categories without one miss.
        state_rules: ``StateConfig.fingerprint`` of the rules that the records follow: a reader with
            other rules would give their codes another meaning.
    """

    user_id: str
    partition: int
    watermark: int
    profile: bytes | None = None
    memory: bytes | None = None
    memory_fingerprint: int = 0
    memory_from: int | None = None
    subsequences: dict[int, bytes] = {}
    state_rules: str = ""


class StatesAnswer(msgspec.Struct, frozen=True):
    """One state a requested user, in the order of the request."""

    states: list[UserState]
