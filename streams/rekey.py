"""``uic topics rekey``: the events in a new topic with another number of partitions.

A user's partition follows from the number of partitions, so that number is never changed in place.
Runs of records are copied in transactions; the position in the old topic is part of each, so a copy
that is interrupted, also by kill -9, goes on where it was, and nothing is missing or doubled.
Records of one user stay in their order. Erasures are copied; records that lie in another partition
than that of their key are not: in the old topic they are no events but dead letters.
"""

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass

import click
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced
from faust.types import TP

from interest_center.core.errors import ConfigurationError, InterestCenterError, TruncatedLogError
from interest_center.core.ids import partition_of
from interest_center.settings import Settings, load_settings
from streams.offset_bars import offset_bars
from streams.record_runs import RUN_CONSUMER_OPTIONS, RecordRun, stop_consumer, wait_for_runs
from streams.topics import create_topics, topic_identity, unreachable

RUN_RECORDS = 2000
POLL_SECONDS = 0.2
_FETCH_BYTES = 4 << 20
_REQUEST_BYTES = 16 << 20


class RekeyError(InterestCenterError):
    """The copy cannot go on."""


@dataclass
class Copied:
    """How far a copy is.

    Attributes:
        records: Copied by this run.
        left_out: Records in a wrong partition, met by this run.
        done: Offsets of the old topic that are behind the position, over all partitions.
        total: Offsets that it had when the run began, or has now.
    """

    records: int = 0
    left_out: int = 0
    done: int = 0
    total: int = 0


class Rekeying:
    """One run of a copy.

    Args:
        old: Settings of the old topic.
        new: Settings of the new one, which exists.
        follow: Go on with what comes later, until told to stop.
        progress: Told how far it is.
    """

    def __init__(
        self, old: Settings, new: Settings, follow: bool, progress: Callable[[Copied], None]
    ) -> None:
        self._old = old
        self._new = new
        self._follow = follow
        self._progress = progress
        self.copied = Copied()
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """End after the transaction that is under way."""
        self._stop.set()

    async def run(self) -> None:
        """Copy.

        Raises:
            TruncatedLogError: The old topic no longer holds what is next.
            RekeyError: Another copy of the same topics runs.
            KafkaUnreachableError: No broker answers.
        """
        options = self._old.kafka_options()
        _, old_id, n_old = topic_identity(self._old, self._old.events_topic)
        _, new_id, _ = topic_identity(self._new, self._new.events_topic)
        group = f"uic-rekey-{old_id}-{new_id}"
        places = [TopicPartition(self._old.events_topic, number) for number in range(n_old)]
        consumer = AIOKafkaConsumer(
            **options,
            **RUN_CONSUMER_OPTIONS | {"max_partition_fetch_bytes": _FETCH_BYTES},
            group_id=group,
        )
        producer = AIOKafkaProducer(
            **options,
            transactional_id=group,
            linger_ms=5,
            max_request_size=_REQUEST_BYTES,
        )
        try:
            await producer.start()
            await consumer.start()
            consumer.assign(places)
            await self._copy(consumer, producer, group, places)
        except ProducerFenced as error:
            raise RekeyError(
                f"another copy into {self._new.events_topic} has begun", hint="let it finish"
            ) from error
        except KafkaError as error:
            raise unreachable(self._old, error) from error
        finally:
            await stop_consumer(consumer)
            await producer.stop()

    async def _copy(
        self,
        consumer: AIOKafkaConsumer,
        producer: AIOKafkaProducer,
        group: str,
        places: list[TopicPartition],
    ) -> None:
        positions = await self._begin(consumer, places)
        ends = await consumer.end_offsets(places)
        wanted = {TP(place.topic, place.partition): RUN_RECORDS for place in places}
        while not self._stop.is_set():
            self.copied.done = sum(positions.values())
            self.copied.total = max(sum(ends.values()), self.copied.done)
            self._progress(self.copied)
            if all(positions[place] >= ends[place] for place in places) and not self._follow:
                return
            runs = await wait_for_runs(consumer._fetcher, wanted, POLL_SECONDS, self._stop)
            if not runs:
                ends = await consumer.end_offsets(places)
                continue
            async with producer.transaction():
                for run in runs:
                    await self._send(producer, run)
                    place = TopicPartition(run.topic_partition.topic, run.topic_partition.partition)
                    positions[place] = run.next_position
                await producer.send_offsets_to_transaction(positions, group)

    async def _begin(
        self, consumer: AIOKafkaConsumer, places: list[TopicPartition]
    ) -> dict[TopicPartition, int]:
        """Seek to where the last run ended, else to the start."""
        starts = await consumer.beginning_offsets(places)
        positions = {}
        for place in places:
            committed = await consumer.committed(place)
            if committed is not None and committed < starts[place]:
                raise TruncatedLogError(
                    f"partition {place.partition} of {place.topic} begins at {starts[place]}, the "
                    f"copy is at {committed}",
                    hint="copy into another new topic: this one would have a gap",
                )
            positions[place] = starts[place] if committed is None else int(committed)
            consumer.seek(place, positions[place])
        return positions

    async def _send(self, producer: AIOKafkaProducer, run: RecordRun) -> None:
        n_old, n_new = self._old.partitions, self._new.partitions
        here = run.topic_partition.partition
        for record in run.packed.records():
            own = partition_of(record.key, n_old) if record.key else here
            if own != here:
                self.copied.left_out += 1
                continue
            await producer.send(
                self._new.events_topic,
                key=record.key,
                value=record.value,
                headers=list(record.headers),
                partition=partition_of(record.key, n_new) if record.key else own % n_new,
            )
            self.copied.records += 1


@click.command()
@click.argument("topic")
@click.option("--partitions", type=click.IntRange(1, 4096), required=True, help="Of the new topic.")
@click.option("--follow", is_flag=True, help="Go on with new events until Ctrl-C.")
def rekey(topic: str, partitions: int, follow: bool) -> None:
    """Copy the events into TOPIC, a new one with another number of partitions.

    The old topic (UIC_EVENTS_TOPIC) is only read. The way to the new one without a gap: copy with
    --follow until it is level; stop the senders; wait until it is level again, and end it with
    Ctrl-C; start senders, workers and rankers with the settings that it prints. Workers build their
    states anew from the new topic.
    """
    settings = load_settings()
    _, _, n_old = topic_identity(settings, settings.events_topic)
    if topic == settings.events_topic:
        raise ConfigurationError("the new topic is the old one", hint="choose another name")
    old = settings.model_copy(update={"partitions": n_old})
    dead_letters = f"{topic}-dead-letters"
    new = settings.model_copy(
        update={
            "events_topic": topic,
            "dead_letters_topic": dead_letters,
            "partitions": partitions,
        }
    )
    create_topics(new)
    copied = asyncio.run(_run(old, new, follow))
    click.echo(f"copied {copied.records:,} records into {topic}")
    if copied.left_out:
        click.echo(f"left out {copied.left_out:,} in a wrong partition: see the dead letters")
    left = copied.total - copied.done
    if left:
        click.echo(f"{left:,} offsets are left; the same command goes on there")
    click.echo(
        f"settings of the new topic: UIC_EVENTS_TOPIC={topic} "
        f"UIC_DEAD_LETTERS_TOPIC={dead_letters} UIC_PARTITIONS={partitions}"
    )


async def _run(old: Settings, new: Settings, follow: bool) -> Copied:
    with offset_bars() as bars:
        task = bars.add_task("copying", total=None)

        def progress(copied: Copied) -> None:
            level = follow and copied.done == copied.total
            what = "level with the old topic" if level else "copying"
            bars.update(task, description=what, completed=copied.done, total=copied.total)

        rekeying = Rekeying(old, new, follow, progress)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, rekeying.stop)
        await rekeying.run()
    return rekeying.copied
