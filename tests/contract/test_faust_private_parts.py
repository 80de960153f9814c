"""Private parts of Faust and aiokafka that the batch transport stands on: they must be there."""

import inspect
from importlib.metadata import version
from typing import Any

import pytest
from aiokafka.consumer import fetcher, group_coordinator, subscription_state
from faust.app.base import App, BootStrategy
from faust.assignor.partition_assignor import PartitionAssignor
from faust.tables.recovery import Recovery
from faust.transport import consumer as faust_consumer
from faust.transport.drivers import aiokafka as driver
from mode.utils.queues import FlowControlEvent

from streams.transport import BatchConsumer, BatchConsumerThread


def test_versions_are_those_that_were_read() -> None:
    assert version("faust-streaming") == "0.15.3"
    assert version("aiokafka").startswith("0.14.")


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [
        (driver.Consumer, "_drain_messages", ["self", "fetcher"]),
        (driver.Consumer, "_new_offset", ["self", "tp"]),
        (driver.Consumer, "_new_consumer_thread", ["self"]),
        (driver.Consumer, "perform_seek", ["self"]),
        (driver.Consumer, "wait_empty", ["self"]),
        (driver.Consumer, "verify_event_path", ["self", "now", "tp"]),
        (driver.AIOKafkaConsumerThread, "_create_worker_consumer", ["self", "transport"]),
        (driver.AIOKafkaConsumerThread, "_commit", ["self", "offsets"]),
        (driver.AIOKafkaConsumerThread, "__post_init__", ["self"]),
        (driver.AIOKafkaConsumerThread, "_stopped_set", ["self"]),
        (
            driver.AIOKafkaConsumerThread,
            "on_partitions_assigned",
            ["self", "assigned", "generation_id"],
        ),
        (App, "_new_transport", ["self"]),
        (App, "_on_partitions_revoked", ["self", "revoked"]),
        (App, "_on_partitions_assigned", ["self", "assigned", "generation_id"]),
        (App, "on_first_start", ["self"]),
        (App, "on_stop", ["self"]),
        (BootStrategy, "web_server", ["self"]),
        (fetcher.Fetcher, "_create_fetch_waiter", ["self"]),
        (fetcher.Fetcher, "_notify", ["self", "future"]),
        (fetcher.FetchResult, "check_assignment", ["self", "tp"]),
        (fetcher.FetchResult, "_update_position", ["self"]),
        (fetcher.PartitionRecords, "_consume_aborted_up_to", ["self", "batch_offset"]),
        (fetcher.FetchResult, "has_more", ["self"]),
        (fetcher.FetchError, "check_raise", ["self"]),
        (subscription_state.SubscriptionState, "fetch_context", ["self"]),
        (group_coordinator.GroupCoordinator, "_do_heartbeat", ["self"]),
    ],
)
def test_method_is_there(owner: Any, name: str, parameters: list[str]) -> None:
    assert list(inspect.signature(getattr(owner, name)).parameters) == parameters


@pytest.mark.parametrize(
    ("owner", "needle"),
    [
        # Instance attributes: the source is the only witness without a running consumer.
        (faust_consumer.Consumer.__init__, "_unacked_messages"),
        (faust_consumer.Consumer.__init__, "_acked_index"),
        (faust_consumer.Consumer.__init__, "suspend_flow"),
        (faust_consumer.Consumer.stop_flow, "self.flow_active = False"),
        (fetcher.Fetcher.__init__, "self._records = collections.OrderedDict()"),
        (fetcher.Fetcher.__init__, "self._wait_consume_future"),
        (fetcher.Fetcher.__init__, "self._fetch_task"),
        (fetcher.FetchResult.__init__, "self._assignment = assignment"),
        (fetcher.FetchResult.__init__, "self._partition_records = partition_records"),
        (fetcher.FetchResult.has_more, "self._partition_records is not None"),
        (fetcher.PartitionRecords.__init__, "self._records = records"),
        (fetcher.PartitionRecords.__init__, "self._aborted_producers = set()"),
        (fetcher.PartitionRecords.__init__, "self._isolation_level = isolation_level"),
        (fetcher.PartitionRecords.__init__, "self.next_fetch_offset = fetch_offset"),
        # The name is looked up in the module at each fetch, so that ours is made.
        (fetcher.Fetcher._proc_fetch_request, "records = MemoryRecords(part_data[-1])"),
        # The heartbeat is looked up on the instance at each beat, so that ours is called.
        (group_coordinator.GroupCoordinator._heartbeat_routine, "await self._do_heartbeat()"),
        # A member that is being rebalanced is known before the callbacks run.
        (driver.ConsumerRebalanceListener.on_partitions_revoked, "on_rebalance_start()"),
        # Nothing may be delivered before this: it empties the queues of the streams.
        (FlowControlEvent.resume, "self.clear()"),
    ],
)
def test_source_still_says(owner: Any, needle: str) -> None:
    assert needle in inspect.getsource(owner)


def test_streams_are_resumed_before_the_rebalance_is_called_over() -> None:
    source = inspect.getsource(Recovery._resume_streams)
    assert source.index("flow_control.resume()") < source.index("on_rebalance_end()")


def test_assignor_tells_the_owners_of_source_topics() -> None:
    assert isinstance(PartitionAssignor.external_topic_distribution, property)


def test_ours_are_in_place() -> None:
    assert issubclass(BatchConsumer, driver.Consumer)
    assert issubclass(BatchConsumerThread, driver.AIOKafkaConsumerThread)
