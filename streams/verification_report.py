"""What a verification found."""

from dataclasses import dataclass, field

from streams.state_comparison import Comparison

MOST_TOLD = 20


@dataclass
class Report:
    """What was found.

    Attributes:
        comparison: Of users.
        records: Records of these users, and bad ones, up to ``positions``.
        positions: Offset of each partition at which the comparison began.
        other: Differences of counters, dead letters and texts, one sentence each, the first few.
        n_other: How many there are.
        checked_all: Whether counters and dead letters were compared, which takes all users.
    """

    comparison: Comparison = field(default_factory=Comparison)
    records: int = 0
    positions: dict[int, int] = field(default_factory=dict)
    other: list[str] = field(default_factory=list)
    n_other: int = 0
    checked_all: bool = False

    def add(self, difference: str) -> None:
        """Count a difference that is not one of a user's records."""
        self.n_other += 1
        if len(self.other) < MOST_TOLD:
            self.other.append(difference)

    @property
    def clean(self) -> bool:
        """Whether something was compared and nothing differs."""
        return self.comparison.users > 0 and not self.comparison.n_different and not self.n_other
