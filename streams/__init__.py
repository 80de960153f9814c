"""Kafka side: topics, broker, producers and the Faust worker that feeds the state engine."""
