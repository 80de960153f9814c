"""``uic bench``: how fast the engine is on this machine, beside a real Kafka, and its peers."""
