"""What the command line of the ranking worker says beside the settings."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RankerOptions:
    """Options of one ranking worker.

    Attributes:
        models: Bundles beside the default one, each as ``NAME=DIRECTORY``.
        from_kafka: Whether requests of the topic are answered too.
        has_parent: Whether it is one of several processes and ends with the one that started it.
    """

    models: tuple[str, ...] = ()
    from_kafka: bool = False
    has_parent: bool = False

    @property
    def arguments(self) -> list[str]:
        """The command line that says the same to a child."""
        models = [part for model in self.models for part in ("--model", model)]
        return models + (["--from-kafka"] if self.from_kafka else [])
