"""The one reader of the environment: every setting, its name (``UIC_...``), default and meaning."""

import json
import os
import ssl
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from interest_center.core.errors import ConfigurationError

DEFAULT_BOOTSTRAP_SERVERS = "127.0.0.1:9092"
BROKER_FILE = "broker.json"
EVERYWHERE = ("0.0.0.0", "::", "*")


class Settings(BaseSettings):
    """Settings of all commands, from the environment (prefix ``UIC_``); an empty one is unset."""

    model_config = SettingsConfigDict(
        env_prefix="UIC_", env_ignore_empty=True, frozen=True, extra="ignore"
    )

    home: Path = Field(Path(".uic"), description="directory of broker data, states and logs")
    cache_dir: Path = Field(
        default_factory=lambda: _user_cache() / "interest-center",
        description="Kafka's jars, kept outside the tree; default XDG_CACHE_HOME/interest-center",
    )

    kafka_bootstrap_servers: str = Field(
        "", description="host:port,...; empty: the broker of `uic broker start`, else port 9092"
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    kafka_sasl_username: str = ""
    kafka_sasl_password: str = Field("", repr=False)
    kafka_ssl_cafile: Path | None = None
    kafka_ssl_certfile: Path | None = None
    kafka_ssl_keyfile: Path | None = None

    events_topic: str = "uic-events"
    dead_letters_topic: str = "uic-dead-letters"
    partitions: int = Field(4, ge=1, le=4096, description="partitions of the events topic")
    replication_factor: int = Field(1, ge=1, le=9)
    retention_ms: int = Field(-1, ge=-1, description="of the events topic; -1: for ever")

    rank_requests_topic: str = "uic-rank-requests"
    rankings_topic: str = "uic-rankings"
    rank_dead_letters_topic: str = "uic-rank-dead-letters"
    exposures_topic: str = Field("", description="what was shown, for training; empty: not logged")
    rank_group: str = Field("uic-ranking-worker", description="consumer group of ranking workers")

    group: str = Field("uic-interest-worker", description="consumer group of the interest workers")
    instance_id: str = Field("", description="static member id of a worker; empty: none")
    state_dir: Path | None = Field(None, description="states of this worker; default HOME/state")
    state_config: Path | None = Field(
        None, description="JSON of the rules of the states; none: the bundle's, else the defaults"
    )
    snapshot_url: str = Field("", description="fsspec URL; default HOME/snapshots; `off`: none")
    snapshot_interval_seconds: float = Field(300.0, gt=0)
    checkpoint_interval_seconds: float = Field(1.0, gt=0)
    hot_memory_mib: int = Field(
        512, ge=1, description="memory for rows of recently touched users, MiB per partition"
    )
    standby_replicas: int = Field(
        0, ge=0, le=3, description="warm copies of each partition at other workers, at all the same"
    )
    session_timeout_seconds: float = Field(10.0, ge=6)
    max_events_per_second: int = Field(0, ge=0, description="throttle of a worker; 0: none")
    accept_truncated_history: bool = Field(
        False, description="start although the log begins after the next event needed"
    )

    worker_host: str = "127.0.0.1"
    worker_port: int = Field(8080, ge=0, le=65535)
    worker_advertised_url: str = Field("", description="default http://HOST:PORT")
    worker_urls: str = Field(
        "http://127.0.0.1:8080", description="any interest workers, comma-separated"
    )
    ranker_host: str = "127.0.0.1"
    ranker_port: int = Field(8090, ge=0, le=65535)
    ranker_processes: int = Field(1, ge=1, le=256, description="behind the ranker's port")
    catalog: Path | None = Field(None, description="file of the items, watched; none: no catalog")
    catalog_topic: str = Field("", description="compacted topic of the items; empty: no catalog")
    rank_deadline_ms: int = Field(50, ge=1, description="time a ranking waits for the state")

    bundle: Path | None = Field(None, description="directory of the model bundle; none: no memory")

    @property
    def bootstrap_servers(self) -> str:
        """Bootstrap servers as set, else those of the broker started in ``home``."""
        if self.kafka_bootstrap_servers:
            return self.kafka_bootstrap_servers
        broker_file = self.home / "broker" / BROKER_FILE
        try:
            return str(json.loads(broker_file.read_text())["bootstrap_servers"])
        except (OSError, ValueError, KeyError):
            return DEFAULT_BOOTSTRAP_SERVERS

    @property
    def states(self) -> Path:
        """Directory that holds one state directory per partition."""
        return self.state_dir or self.home / "state"

    @property
    def snapshots(self) -> str | None:
        """Fsspec URL of the snapshots, None when they are switched off."""
        if self.snapshot_url == "off":
            return None
        return self.snapshot_url or str((self.home / "snapshots").absolute())

    @property
    def advertised_url(self) -> str:
        """URL at which other workers and the ranker reach this worker.

        Raises:
            ConfigurationError: The worker listens everywhere, which is no address to be reached at.
        """
        if self.worker_advertised_url:
            return self.worker_advertised_url.rstrip("/")
        host = self.worker_host
        if host in EVERYWHERE:
            raise ConfigurationError(
                f"a worker that listens at {host} has to say how others reach it",
                hint="set UIC_WORKER_ADVERTISED_URL (or --advertised-url) to http://NAME:PORT",
            )
        return (
            f"http://[{host}]:{self.worker_port}"
            if ":" in host
            else (f"http://{host}:{self.worker_port}")
        )

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the TLS context for Kafka, None without TLS."""
        if "SSL" not in self.kafka_security_protocol.split("_"):
            return None
        context = ssl.create_default_context(
            cafile=str(self.kafka_ssl_cafile) if self.kafka_ssl_cafile else None
        )
        if self.kafka_ssl_certfile:
            keyfile = str(self.kafka_ssl_keyfile) if self.kafka_ssl_keyfile else None
            context.load_cert_chain(str(self.kafka_ssl_certfile), keyfile)
        return context

    def kafka_options(self) -> dict[str, Any]:
        """Connection options, spelled alike by kafka-python and aiokafka."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers.split(","),
            "security_protocol": self.kafka_security_protocol,
        }
        context = self.ssl_context()
        if context is not None:
            options["ssl_context"] = context
        if self.kafka_security_protocol.startswith("SASL"):
            options["sasl_mechanism"] = self.kafka_sasl_mechanism
            options["sasl_plain_username"] = self.kafka_sasl_username
            options["sasl_plain_password"] = self.kafka_sasl_password
        return options


def _user_cache() -> Path:
    """Return the cache directory of this user, by the XDG rule."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def load_settings(**overrides: Any) -> Settings:
    """Read the settings; arguments that are not None win over the environment.

    Raises:
        ConfigurationError: A setting has a value that is out of range or of the wrong type.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = "UIC_" + "_".join(str(part) for part in first["loc"]).upper()
        raise ConfigurationError(
            f"setting {name}: {first['msg'].lower()}, got {first['input']!r}",
            hint="correct or unset the variable",
        ) from error


@lru_cache(maxsize=1)
def process_settings() -> Settings:
    """Return the settings of this process, read once; for ``faust -A``, which passes none."""
    return load_settings()


def environment_of(settings: Settings) -> dict[str, str]:
    """Return the environment that makes a child process read these settings again."""
    child = dict(os.environ)
    for name, value in settings.model_dump().items():
        if value is None:
            child.pop("UIC_" + name.upper(), None)
        else:
            child["UIC_" + name.upper()] = str(value)
    return child
