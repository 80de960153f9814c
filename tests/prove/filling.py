"""Fills the topic with a workload before anything is measured, and lets one stream in meanwhile."""

import sys

import msgspec

from interest_center.settings import load_settings
from prove.system import Process, System
from prove.verification import EVENTS_TOPIC
from streams.bench.loading import load_topic
from streams.bench.workload import Workload


def fill(system: System, load: Workload) -> None:
    """Push all events."""
    settings = load_settings(kafka_bootstrap_servers=system.bootstrap, events_topic=EVENTS_TOPIC)
    load_topic(settings, load, lambda _: None)


def stream(system: System, load: Workload, events_per_second: float) -> Process:
    """Start a sender of a workload, which ends by itself or with the system."""
    workload = msgspec.json.encode(load).decode()
    module = "streams.bench.steady_sender"
    argv = [sys.executable, "-m", module, "stream", workload, f"{events_per_second}"]
    environment = system.environment(kafka_bootstrap_servers=system.bootstrap)
    sender = Process("stream", argv, environment, system.logs / "stream.log")
    system.processes.append(sender)
    return sender
