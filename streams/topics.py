"""The topics, made and checked: names come from the settings, their form is decided here."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, OffsetSpec
from kafka.errors import KafkaError, TopicAlreadyExistsError
from kafka.structs import TopicPartition

from interest_center.core.errors import ConfigurationError, InterestCenterError
from interest_center.settings import Settings

EVENTS_MESSAGE_BYTES = 1_048_576
#: A dead letter holds the whole original record, and says in headers why it is there.
DEAD_LETTERS_MESSAGE_BYTES = 2_097_152
#: A ranking of ten thousand candidates fits, with an explanation or none.
RANKING_MESSAGE_BYTES = 8_388_608
RANKING_DEAD_LETTERS_BYTES = 16_777_216
CONNECT_SECONDS = 3.0


class KafkaUnreachableError(InterestCenterError):
    """No broker answers at the bootstrap servers."""


@dataclass(frozen=True)
class TopicPlan:
    """How a topic must be.

    Attributes:
        name: Name of the topic.
        partitions: Its number of partitions.
        fixed: Configuration that is part of the protocol; another value is refused.
        initial: Configuration given at creation, which the operator may change.
    """

    name: str
    partitions: int
    fixed: dict[str, str]
    initial: dict[str, str]


def ranking_plans(settings: Settings) -> list[TopicPlan]:
    """Return the topics of rankings over Kafka, and of catalog and exposures if they have one."""
    names = (
        settings.rank_requests_topic,
        settings.rankings_topic,
        settings.rank_dead_letters_topic,
    )
    sizes = (RANKING_MESSAGE_BYTES, RANKING_MESSAGE_BYTES, RANKING_DEAD_LETTERS_BYTES)
    found = [
        TopicPlan(
            name,
            settings.partitions,
            {"cleanup.policy": "delete"},
            {"max.message.bytes": str(size)},
        )
        for name, size in zip(names, sizes, strict=True)
    ]
    if settings.catalog_topic:
        compacted = {"cleanup.policy": "compact"}
        found.append(TopicPlan(settings.catalog_topic, settings.partitions, compacted, {}))
    if settings.exposures_topic:
        kept = {"cleanup.policy": "delete"}
        initial = {"max.message.bytes": str(RANKING_MESSAGE_BYTES)}
        found.append(TopicPlan(settings.exposures_topic, settings.partitions, kept, initial))
    return found


def plans(settings: Settings) -> list[TopicPlan]:
    """Return every topic that interest workers need."""
    return [
        TopicPlan(
            settings.events_topic,
            settings.partitions,
            {"message.timestamp.type": "LogAppendTime", "cleanup.policy": "delete"},
            {
                "retention.ms": str(settings.retention_ms),
                "max.message.bytes": str(EVENTS_MESSAGE_BYTES),
            },
        ),
        TopicPlan(
            settings.dead_letters_topic,
            settings.partitions,
            {"cleanup.policy": "delete"},
            {"retention.ms": "-1", "max.message.bytes": str(DEAD_LETTERS_MESSAGE_BYTES)},
        ),
    ]


def unreachable(settings: Settings, reason: object) -> KafkaUnreachableError:
    """Return the error that says where Kafka was looked for and what to do."""
    return KafkaUnreachableError(
        f"no Kafka at {settings.bootstrap_servers} ({reason})",
        hint="`uic broker start`, or set UIC_KAFKA_BOOTSTRAP_SERVERS to your cluster",
    )


def check_reachable(settings: Settings) -> None:
    """Make sure that one of the bootstrap servers takes a connection.

    A client of kafka-python would try for half a minute, and leave sockets and a thread behind.

    Raises:
        KafkaUnreachableError: None does.
    """
    reason: object = "no host:port given"
    for server in settings.bootstrap_servers.split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
        except (OSError, ValueError) as error:
            reason = error
        else:
            return
    raise unreachable(settings, reason)


def open_admin(settings: Settings) -> KafkaAdminClient:
    """Connect an admin client.

    Raises:
        KafkaUnreachableError: No broker answers.
    """
    check_reachable(settings)
    try:
        return KafkaAdminClient(**settings.kafka_options())
    except (KafkaError, OSError) as error:
        raise unreachable(settings, error or type(error).__name__) from error


def create_topics(settings: Settings, wanted: Sequence[TopicPlan] = ()) -> list[str]:
    """Make the topics that are missing and check the others; return the names of the new ones.

    Args:
        settings: Connection, and how often each is kept.
        wanted: The topics; those of ``plans`` when none are given.

    Raises:
        ConfigurationError: A topic is there with another form.
        KafkaUnreachableError: No broker answers.
    """
    admin = open_admin(settings)
    try:
        topics = wanted or plans(settings)
        made = [plan.name for plan in topics if _create(admin, plan, settings)]
        for plan in topics:
            _check(admin, plan)
    finally:
        admin.close()
    return made


def check_topics(settings: Settings) -> None:
    """Make sure that a worker can trust the topics: append times, retention, dead letters.

    Raises:
        ConfigurationError: A topic is not there or has another form.
        KafkaUnreachableError: No broker answers.
    """
    admin = open_admin(settings)
    try:
        for plan in plans(settings):
            if _describe(admin, plan.name) is None:
                raise _missing(plan.name)
            _check_configuration(admin, plan)
    finally:
        admin.close()


def _missing(topic: str) -> ConfigurationError:
    return ConfigurationError(
        f"topic {topic} is not there", hint="create the topics with `uic topics create`"
    )


def topic_identity(settings: Settings, topic: str) -> tuple[str, str, int]:
    """Return cluster id, topic id and number of partitions of a topic.

    Raises:
        ConfigurationError: There is no such topic.
        KafkaUnreachableError: No broker answers.
    """
    admin = open_admin(settings)
    try:
        cluster_id = str(admin.describe_cluster()["cluster_id"])
        found = _describe(admin, topic)
    finally:
        admin.close()
    if found is None:
        raise _missing(topic)
    return cluster_id, str(found["topic_id"]), len(found["partitions"])


def _create(admin: KafkaAdminClient, plan: TopicPlan, settings: Settings) -> bool:
    """Make one topic; return whether it was missing."""
    form = {
        "num_partitions": plan.partitions,
        "replication_factor": settings.replication_factor,
        "configs": {**plan.initial, **plan.fixed},
    }
    try:
        admin.create_topics({plan.name: form}, wait_for_metadata=True)
    except TopicAlreadyExistsError:
        return False
    except KafkaError as error:
        raise ConfigurationError(
            f"topic {plan.name} cannot be created: {error}",
            hint="check UIC_REPLICATION_FACTOR against the number of brokers, and the rights",
        ) from error
    return True


def _describe(admin: KafkaAdminClient, topic: str) -> dict[str, Any] | None:
    """Return the metadata of a topic, None when it is not there."""
    for found in admin.describe_topics([topic]):
        if found["name"] == topic and not found["error_code"]:
            return dict(found)
    return None


def _configuration(admin: KafkaAdminClient, topic: str) -> dict[str, str]:
    """Return every configuration value of a topic."""
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    described = admin.describe_configs([resource], config_filter="all")
    return {name: str(entry["value"]) for name, entry in described["topic"][topic].items()}


def _check(admin: KafkaAdminClient, plan: TopicPlan) -> None:
    """Refuse a topic of another form."""
    found = _describe(admin, plan.name)
    assert found is not None
    partitions = len(found["partitions"])
    if partitions != plan.partitions:
        raise ConfigurationError(
            f"topic {plan.name} has {partitions} partitions, the settings say {plan.partitions}",
            hint=f"set UIC_PARTITIONS={partitions}, or name another topic; a user's partition "
            "follows from the count, so it is never changed in place",
        )
    _check_configuration(admin, plan)


def _check_configuration(admin: KafkaAdminClient, plan: TopicPlan) -> None:
    """Refuse a topic whose configuration breaks the protocol."""
    configuration = _configuration(admin, plan.name)
    for name, wanted in plan.fixed.items():
        if configuration[name] != wanted:
            raise ConfigurationError(
                f"topic {plan.name} has {name}={configuration[name]}, needed is {wanted}",
                hint=f"kafka-configs.sh --alter --entity-type topics --entity-name {plan.name} "
                f"--add-config {name}={wanted}, or name another topic",
            )


def describe_topics(settings: Settings) -> list[dict[str, Any]]:
    """Return what there is of each topic, in JSON's types."""
    admin = open_admin(settings)
    try:
        return [_description(admin, plan) for plan in plans(settings)]
    finally:
        admin.close()


def _description(admin: KafkaAdminClient, plan: TopicPlan) -> dict[str, Any]:
    found = _describe(admin, plan.name)
    if found is None:
        return {"topic": plan.name, "exists": False}
    places = [TopicPartition(plan.name, number) for number in range(len(found["partitions"]))]
    starts = admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.EARLIEST))
    ends = admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST))
    configuration = _configuration(admin, plan.name)
    return {
        "topic": plan.name,
        "exists": True,
        "topic_id": str(found["topic_id"]),
        "partitions": len(places),
        "offsets": [[starts[place].offset, ends[place].offset] for place in places],
        "retention_ms": int(configuration["retention.ms"]),
        "timestamp_type": configuration["message.timestamp.type"],
        "as_planned": len(places) == plan.partitions
        and all(configuration[name] == value for name, value in plan.fixed.items()),
    }
