"""Topics: made once, described, and refused when their form differs."""

import json

import pytest
from click.testing import CliRunner

from interest_center.cli import cli
from interest_center.core.errors import ConfigurationError
from interest_center.settings import Settings, load_settings
from streams.topics import (
    KafkaUnreachableError,
    check_topics,
    create_topics,
    describe_topics,
    open_admin,
    topic_identity,
)

pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(kafka, topic_names) -> Settings:
    return load_settings(
        kafka_bootstrap_servers=kafka,
        events_topic=topic_names("events"),
        dead_letters_topic=topic_names("dead"),
        partitions=3,
    )


def test_create_is_idempotent_and_describe_agrees(settings: Settings) -> None:
    assert create_topics(settings) == [settings.events_topic, settings.dead_letters_topic]
    assert create_topics(settings) == []
    events, dead = describe_topics(settings)
    assert events["partitions"] == 3
    assert events["timestamp_type"] == "LogAppendTime"
    assert events["offsets"] == [[0, 0]] * 3
    assert events["as_planned"]
    assert dead["as_planned"]


def test_identity_changes_when_a_topic_is_recreated(settings: Settings) -> None:
    create_topics(settings)
    cluster_id, topic_id, n_partitions = topic_identity(settings, settings.events_topic)
    assert (cluster_id != "", topic_id != "", n_partitions) == (True, True, 3)
    admin = open_admin(settings)
    admin.delete_topics([settings.events_topic])
    admin.close()
    create_topics(settings)
    again = topic_identity(settings, settings.events_topic)
    assert again[0] == cluster_id
    assert again[1] != topic_id


def test_another_partition_count_is_refused_with_the_way_out(settings: Settings) -> None:
    create_topics(settings)
    other = settings.model_copy(update={"partitions": 5})
    with pytest.raises(ConfigurationError, match="has 3 partitions, the settings say 5") as refused:
        create_topics(other)
    assert "UIC_PARTITIONS=3" in refused.value.hint


def test_another_timestamp_type_is_refused(settings: Settings) -> None:
    admin = open_admin(settings)
    admin.create_topics({settings.events_topic: {"num_partitions": 3, "replication_factor": 1}})
    admin.close()
    with pytest.raises(ConfigurationError, match=r"message\.timestamp\.type=CreateTime"):
        create_topics(settings)


def test_a_worker_trusts_no_topic_of_another_form(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="is not there"):
        check_topics(settings)
    create_topics(settings)
    check_topics(settings)
    admin = open_admin(settings)
    admin.delete_topics([settings.dead_letters_topic])
    with pytest.raises(ConfigurationError, match=f"{settings.dead_letters_topic} is not there"):
        check_topics(settings)
    admin.close()


def test_a_worker_refuses_timestamps_of_the_sender(settings: Settings) -> None:
    admin = open_admin(settings)
    form = {"num_partitions": 3, "replication_factor": 1}
    admin.create_topics({settings.events_topic: form}, wait_for_metadata=True)
    admin.close()
    with pytest.raises(ConfigurationError, match="CreateTime"):
        check_topics(settings)


def test_a_missing_topic_and_a_missing_broker_say_what_to_do(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="is not there"):
        topic_identity(settings, settings.events_topic)
    with pytest.raises(KafkaUnreachableError, match=r"127\.0\.0\.1:1"):
        open_admin(settings.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:1"}))


def test_describe_prints_json(settings: Settings, monkeypatch) -> None:
    create_topics(settings)
    for name in ("kafka_bootstrap_servers", "events_topic", "dead_letters_topic", "partitions"):
        monkeypatch.setenv(f"UIC_{name.upper()}", str(getattr(settings, name)))
    shown = CliRunner().invoke(cli, ["topics", "describe", "--json"])
    assert shown.exit_code == 0
    assert [topic["topic"] for topic in json.loads(shown.stdout)] == [
        settings.events_topic,
        settings.dead_letters_topic,
    ]
