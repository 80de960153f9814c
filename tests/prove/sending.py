"""Sends to the topic with a Kafka client of its own and keeps what every acknowledgement says."""

import asyncio
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata

from prove.oracle import Record

MAX_IN_FLIGHT = 2_000


@dataclass(frozen=True)
class Message:
    """One record to send, and what the product has to make of it.

    Attributes:
        key: Record key, normally the user id.
        value: Record value; None is an erasure.
        user: User whose state it moves, None when it has to become a dead letter.
        event: The event inside, None for an erasure or a dead letter.
        reason: Reason code of the dead letter, empty for any other record.
        headers: Record headers.
        partition: Where to put it against the key, None: as Kafka's default partitioner does.
    """

    key: bytes | None
    value: bytes | None
    user: str | None
    event: dict[str, Any] | None
    reason: str = ""
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None


@dataclass(frozen=True)
class Sent:
    """A message with the place and time that the broker acknowledged."""

    message: Message
    partition: int
    offset: int
    append_time_ms: int

    @property
    def record(self) -> Record:
        """Return it as the oracle takes it."""
        said = self.message
        return Record(
            self.partition, self.offset, self.append_time_ms, said.user, said.event, said.reason
        )


def good(event: dict[str, Any]) -> Message:
    """Return a good event as plain JSON, keyed by its user."""
    filled = {name: value for name, value in event.items() if value is not None}
    user = event["user_id"]
    return Message(user.encode(), json.dumps(filled).encode(), user, filled)


def erasure(user: str) -> Message:
    """Return the erasure of a user: the key and a null value."""
    return Message(user.encode(), None, user, None)


class Sender:
    """A producer that waits for all acknowledgements; used as an asynchronous context manager."""

    def __init__(self, bootstrap: str, topic: str, transactional_id: str | None = None) -> None:
        self.topic = topic
        self.producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            acks="all",
            enable_idempotence=True,
            transactional_id=transactional_id,
            max_request_size=5_000_000,
            linger_ms=5,
            max_batch_size=262_144,
        )

    async def __aenter__(self) -> "Sender":
        await self.producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.producer.stop()

    async def send(self, messages: Iterable[Message]) -> list[Sent]:
        """Send in order; returns when the broker has acknowledged every one of them."""
        sent: list[Sent] = []
        flying: list[tuple[Message, asyncio.Future[RecordMetadata]]] = []
        for message in messages:
            future = await self.producer.send(
                self.topic,
                value=message.value,
                key=message.key,
                headers=list(message.headers),
                partition=message.partition,
            )
            flying.append((message, future))
            if len(flying) >= MAX_IN_FLIGHT:
                sent += await _landed(flying)
                flying = []
        return sent + await _landed(flying)

    async def send_transaction(self, messages: Sequence[Message], commit: bool) -> list[Sent]:
        """Send in one transaction; what an aborted one sent took offsets and must not be seen."""
        await self.producer.begin_transaction()
        sent = await self.send(messages)
        await self.producer.flush()
        if commit:
            await self.producer.commit_transaction()
            return sent
        await self.producer.abort_transaction()
        return []


async def _landed(flying: list[tuple[Message, "asyncio.Future[RecordMetadata]"]]) -> list[Sent]:
    places = await asyncio.gather(*(future for _, future in flying))
    return [
        Sent(message, place.partition, place.offset, place.timestamp)
        for (message, _), place in zip(flying, places, strict=True)
    ]


def send_plain(bootstrap: str, topic: str, messages: Iterable[Message]) -> list[Sent]:
    """Send messages without transactions and return where they lie."""

    async def run() -> list[Sent]:
        async with Sender(bootstrap, topic) as sender:
            return await sender.send(messages)

    return asyncio.run(run())


def send_with_transactions(
    bootstrap: str, topic: str, parts: Sequence[tuple[str, list[Message]]]
) -> list[Sent]:
    """Send parts in order, each named ``plain``, ``commit`` or ``abort``.

    Returns:
        What has to be seen by a reader of committed records.
    """

    async def run() -> list[Sent]:
        name = f"prove-{random.getrandbits(48):x}"
        async with Sender(bootstrap, topic) as plain, Sender(bootstrap, topic, name) as bound:
            sent: list[Sent] = []
            for how, messages in parts:
                if how == "plain":
                    sent += await plain.send(messages)
                else:
                    sent += await bound.send_transaction(messages, commit=how == "commit")
            return sent

    return asyncio.run(run())
