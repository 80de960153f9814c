"""Which errors of Kafka pass by themselves, so that waiting is right."""

from aiokafka.errors import KafkaError, KafkaTimeoutError

RETRY_SECONDS = 1.0


def passes(error: KafkaError) -> bool:
    """Tell whether to try again: a broker or leader is away, or slow.

    aiokafka does not call its own time-outs retriable.
    """
    return bool(error.retriable) or isinstance(error, KafkaTimeoutError)
