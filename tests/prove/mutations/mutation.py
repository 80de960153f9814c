"""What a mutation is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """One change that must not pass.

    Attributes:
        what: Whose line, and what is wrong with it afterwards.
        file: Path from the root of the clone.
        text: What stands there, once.
        replacement: What stands there instead.
        test: Pytest path of what has to fail.
    """

    what: str
    file: str
    text: str
    replacement: str
    test: str
