"""Runs of records from a real Kafka: gaps, aborted transactions, positions, limits."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import OffsetOutOfRangeError
from faust.types import TP
from kafka import KafkaProducer
from packed import packed

from interest_center.core.packed_records import OFFSET, Record
from streams.record_runs import RecordRun, wait_for_runs

pytestmark = pytest.mark.kafka


@pytest.fixture
async def topic(kafka: str, topic_names: Callable[[str], str]) -> str:
    name = topic_names("runs")
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1)])
    await admin.close()
    return name


@pytest.fixture
async def consumer(kafka: str, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    made = AIOKafkaConsumer(
        bootstrap_servers=kafka,
        isolation_level="read_committed",
        auto_offset_reset="none",
        enable_auto_commit=False,
        fetch_max_wait_ms=50,
    )
    await made.start()
    made.assign([TopicPartition(topic, 0)])
    yield made
    await made.stop()


async def send(kafka: str, topic: str, values: list[bytes], transaction: str | None = None) -> None:
    """Send values; in a transaction that ends as ``commit`` or ``abort`` when asked to."""
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, transactional_id=f"{topic}-{transaction}" if transaction else None
    )
    await producer.start()
    if transaction:
        await producer.begin_transaction()
    for value in values:
        await producer.send_and_wait(topic, value, partition=0)
    if transaction == "commit":
        await producer.commit_transaction()
    elif transaction:
        await producer.abort_transaction()
    await producer.stop()


async def read_to(consumer: AIOKafkaConsumer, topic: str, end: int, most: int) -> list[RecordRun]:
    """Take runs from offset 0 until the position is ``end``."""
    consumer.seek(TopicPartition(topic, 0), 0)
    runs: list[RecordRun] = []
    while not runs or runs[-1].next_position < end:
        taken = await wait_for_runs(consumer._fetcher, {TP(topic, 0): most}, 5.0, asyncio.Event())
        assert taken, "no run within five seconds"
        runs += taken
    return runs


def check_continuous(runs: list[RecordRun]) -> None:
    """Every run starts where the one before ended, and its records lie inside."""
    position = 0
    for run in runs:
        assert run.start_position == position
        assert all(run.start_position <= r.offset < run.next_position for r in run.packed.records())
        position = run.next_position


async def test_runs_hold_all_records_and_no_more_than_asked_for(
    kafka: str, topic: str, consumer: AIOKafkaConsumer
) -> None:
    values = [b"%d" % number for number in range(25)]
    await send(kafka, topic, values)
    runs = await read_to(consumer, topic, 25, most=10)
    check_continuous(runs)
    assert max(len(run.packed) for run in runs) <= 10
    assert [record.value for run in runs for record in run.packed.records()] == values


async def test_markers_and_aborted_records_move_the_position(
    kafka: str, topic: str, consumer: AIOKafkaConsumer
) -> None:
    await send(kafka, topic, [b"a", b"b"], "commit")  # offsets 0, 1; marker 2
    await send(kafka, topic, [b"x", b"y"], "abort")  # offsets 3, 4; marker 5
    await send(kafka, topic, [b"c"])  # offset 6
    runs = await read_to(consumer, topic, 7, most=100)
    check_continuous(runs)
    assert [record.value for run in runs for record in run.packed.records()] == [b"a", b"b", b"c"]


async def test_only_aborted_records_are_an_empty_run(
    kafka: str, topic: str, consumer: AIOKafkaConsumer
) -> None:
    await send(kafka, topic, [b"x", b"y"], "abort")
    runs = await read_to(consumer, topic, 3, most=100)
    check_continuous(runs)
    assert [record for run in runs for record in run.packed.records()] == []
    assert runs[-1].next_position == 3


async def test_a_run_may_end_before_a_marker(
    kafka: str, topic: str, consumer: AIOKafkaConsumer
) -> None:
    await send(kafka, topic, [b"a", b"b"], "commit")
    runs = await read_to(consumer, topic, 3, most=1)
    check_continuous(runs)
    assert [len(run.packed) for run in runs] == [1, 1, 0]


async def test_nothing_new_ends_after_the_timeout(topic: str, consumer: AIOKafkaConsumer) -> None:
    consumer.seek(TopicPartition(topic, 0), 0)
    assert await wait_for_runs(consumer._fetcher, {TP(topic, 0): 10}, 0.2, asyncio.Event()) == []


async def test_a_wake_up_ends_the_wait(topic: str, consumer: AIOKafkaConsumer) -> None:
    consumer.seek(TopicPartition(topic, 0), 0)
    wake = asyncio.Event()
    asyncio.get_running_loop().call_later(0.1, wake.set)
    waiting = wait_for_runs(consumer._fetcher, {TP(topic, 0): 10}, 30.0, wake)
    assert await asyncio.wait_for(waiting, 5.0) == []


async def test_nothing_is_taken_under_the_next_assignment(
    kafka: str, topic: str, consumer: AIOKafkaConsumer
) -> None:
    place = TopicPartition(topic, 0)
    await send(kafka, topic, [b"a", b"b"])
    consumer.seek(place, 2)
    waiting = asyncio.create_task(
        wait_for_runs(consumer._fetcher, {TP(topic, 0): 10}, 5.0, asyncio.Event())
    )
    await asyncio.sleep(0.1)
    consumer.assign([place])
    consumer.seek(place, 0)
    assert await waiting == []
    assert await consumer.position(place) == 0
    assert len(await read_to(consumer, topic, 2, 10)) >= 1


async def test_a_position_that_the_log_does_not_hold_is_an_error(
    kafka: str, topic: str, consumer: AIOKafkaConsumer
) -> None:
    await send(kafka, topic, [b"a"])
    consumer.seek(TopicPartition(topic, 0), 1000)
    with pytest.raises(OffsetOutOfRangeError):
        await wait_for_runs(consumer._fetcher, {TP(topic, 0): 10}, 5.0, asyncio.Event())


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_every_compression_is_read(
    kafka: str, topic: str, consumer: AIOKafkaConsumer, codec: str
) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka, compression_type=codec)
    await producer.start()
    await producer.send_and_wait(topic, b"squeezed" * 100, partition=0)
    await producer.stop()
    (run,) = await read_to(consumer, topic, 1, 10)
    assert [record.value for record in run.packed.records()] == [b"squeezed" * 100]


class OddName(str):
    """A header name that librdkafka would send as it is: bytes that are no text."""

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return b"trace\xff"


@pytest.mark.parametrize("codec", [None, "lz4"])
async def test_a_header_name_that_is_no_text_does_not_stop_the_partition(
    kafka: str, topic: str, consumer: AIOKafkaConsumer, codec: str | None
) -> None:
    await send(kafka, topic, [b"aborted"], "abort")
    await send(kafka, topic, [b"%d" % n for n in range(5)])
    producer = KafkaProducer(
        bootstrap_servers=kafka, compression_type=codec, linger_ms=100, batch_size=1 << 16
    )
    for n in range(5, 8):
        headers = [("fine", b"1"), (OddName("odd"), b"2")] if n == 6 else []
        producer.send(topic, b"%d" % n, partition=0, headers=headers)
    producer.close()
    await send(kafka, topic, [b"8", b"9"], "commit")
    end = 2 + 8 + 3
    for most in (100, 2):
        runs = await read_to(consumer, topic, end, most)
        check_continuous(runs)
        records = [record for run in runs for record in run.packed.records()]
        assert [record.value for record in records] == [b"%d" % n for n in range(10)]
        assert records[6].headers == (("fine", b"1"), ("trace\\xff", b"2"))


def test_a_run_ends_where_it_is_told_to() -> None:
    records = packed([Record(offset, 0, None, None, ()) for offset in (3, 9, 12)])
    run = RecordRun(TP("t", 0), 3, 20, records)
    assert run.until(20) is run
    cut = run.until(10)
    assert (cut.start_position, cut.next_position) == (3, 10)
    assert [record.offset for record in cut.packed.records()] == [3, 9]
    assert cut.packed.places[:, OFFSET].tolist() == [3, 9]
    assert len(run.until(9).packed) == 1
