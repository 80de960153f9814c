"""What is told when Kafka, or a topic in it, is not there."""

from interest_center.core.errors import ConfigurationError
from interest_center.settings import Settings


def no_kafka(settings: Settings, error: Exception) -> ConfigurationError:
    """Return the error of a client that cannot connect."""
    return ConfigurationError(
        f"no Kafka at {settings.bootstrap_servers}: {error!r}",
        hint="`uic broker start`, or set UIC_KAFKA_BOOTSTRAP_SERVERS to your cluster",
    )


def no_topic(topic: str, hint: str) -> ConfigurationError:
    """Return the error of a client whose topic is not there; the hint says how to make it."""
    return ConfigurationError(f"topic {topic} is not there", hint=hint)
