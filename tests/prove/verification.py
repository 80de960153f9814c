"""Checks a running system against the oracle: every user, every counter, every dead letter."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prove.comparison import Answer, Comparison, compare, shown_to_fail
from prove.oracle import OUTCOMES, Oracle
from prove.oracle_memory import MemoryOracle
from prove.reading import owned_partitions, read_users
from prove.rows import Check, equal
from prove.sending import Sent
from prove.system import Service, System, SystemFailedError, wait_until
from prove.topics import committed_counts, dead_letters, end_offsets

EVENTS_TOPIC, DEAD_LETTERS_TOPIC = "uic-events", "uic-dead-letters"


@dataclass
class Expectation:
    """What was sent and what must come of it.

    Attributes:
        sent: Every committed record with its place.
        oracle: Made from it.
        memory: Computes memories.
    """

    sent: list[Sent]
    memory: MemoryOracle
    oracle: Oracle = field(init=False)

    def __post_init__(self) -> None:
        self.oracle = Oracle(sent.record for sent in self.sent)


def expectation(sent: Sequence[Sent], bundle: Path) -> Expectation:
    """Return what has to come of some records with a bundle."""
    return Expectation(list(sent), MemoryOracle(bundle))


def wait_caught_up(
    system: System, workers: Sequence[Service], seconds: float = 600.0
) -> dict[int, int]:
    """Wait until the workers have applied everything and are ready; return the ends.

    Raises:
        SystemFailedError: A worker ended, or it takes too long.
    """
    ends = end_offsets(system.bootstrap, EVENTS_TOPIC)

    def probe() -> bool:
        for worker in workers:
            if not worker.alive:
                raise SystemFailedError(f"{worker.name} ended: {worker.tail()}")
        parts = {n: p for worker in workers for n, p in owned_partitions(worker.url).items()}
        return all(
            n in parts and parts[n]["ready"] and int(parts[n]["position"]) >= end
            for n, end in ends.items()
        )

    wait_until("the workers to catch up", probe, seconds, pause=0.25)
    return ends


def counter_differences(
    workers: Sequence[Service], oracle: Oracle, ends: dict[int, int]
) -> list[str]:
    """Return one sentence for each counter that is not what the oracle and the offsets say."""
    told: list[str] = []
    parts = {n: p for worker in workers for n, p in owned_partitions(worker.url).items()}
    for number, end in ends.items():
        if number not in parts:
            told.append(f"partition {number}: nobody owns it")
            continue
        part, wanted = parts[number], oracle.counters(number)
        got = part["counters"]
        position = int(part["position"])
        for name in (*OUTCOMES, "consumed"):
            if got[name] != wanted[name]:
                told.append(f"partition {number}: {name} {got[name]} not {wanted[name]}")
        if position != end:
            told.append(f"partition {number}: position {position}, the log ends at {end}")
        if got["consumed"] != sum(got[name] for name in OUTCOMES):
            told.append(f"partition {number}: consumed is not the sum of its parts")
        skipped = end - wanted["consumed"]
        if got["skipped"] != skipped:
            told.append(f"partition {number}: skipped {got['skipped']} not {skipped}")
        if position - got.get("start_position", 0) != got["consumed"] + got["skipped"]:
            told.append(f"partition {number}: consumed + skipped is not the way it went")
    return told


def dead_letter_differences(bootstrap: str, sent: Sequence[Sent]) -> tuple[int, int, list[str]]:
    """Compare the dead-letter topic with what was sent.

    Returns:
        Distinct dead letters, repeats of one, and one sentence for each difference.
    """
    found = dead_letters(bootstrap, DEAD_LETTERS_TOPIC)
    by_place = {letter.place: letter for letter in found}
    wanted = {(s.partition, s.offset): s.message for s in sent if s.message.reason}
    told = [f"{place}: not in the topic" for place in sorted(wanted.keys() - by_place.keys())]
    told += [f"{place}: was a good record" for place in sorted(by_place.keys() - wanted.keys())]
    for letter in found:
        message = wanted.get(letter.place)
        if message is None:
            continue
        if letter.reason != message.reason:
            told.append(f"{letter.place}: {letter.reason} not {message.reason}")
        if (letter.key, letter.value) != (message.key, message.value) or not letter.detail:
            told.append(f"{letter.place}: not the original bytes, or no detail")
    return len(by_place), len(found) - len(by_place), told


def first(told: Sequence[str], fine: str) -> str:
    """Return the first few differences, or that all is fine."""
    return f"{len(told)} differences: {'; '.join(told[:4])}" if told else fine


def read_and_compare(
    workers: Sequence[Service], expected: Expectation, say: Callable[[str], None]
) -> tuple[Comparison, dict[str, Answer], float]:
    """Read every user over HTTP from one worker and compare; also returns the answers."""
    started = time.monotonic()
    users = expected.oracle.users
    say(f"reading {len(users):,} users over HTTP")
    answers = read_users(workers[0].url, users)
    seconds = time.monotonic() - started
    return compare(expected.oracle, answers, expected.memory, say=say), answers, seconds


def verified(
    system: System,
    workers: Sequence[Service],
    expected: Expectation,
    say: Callable[[str], None],
    name: str = "",
) -> Iterator[Check]:
    """Wait until all is applied; yield the checks of records, counters, dead letters and users."""
    prefix = f"{name}, " if name else ""
    ends = wait_caught_up(system, workers)
    counts = committed_counts(system.bootstrap, EVENTS_TOPIC)
    yield equal(f"{prefix}records in the topic", sum(counts.values()), len(expected.sent))
    told = counter_differences(workers, expected.oracle, ends)
    totals = [expected.oracle.counters(number) for number in ends]
    summed = {key: sum(total[key] for total in totals) for key in (*OUTCOMES, "consumed")}
    fine = ", ".join(f"{key} {value:,}" for key, value in summed.items())
    yield Check(
        f"{prefix}counters", first(told, fine), "equal to the oracle's and the offsets'", not told
    )
    n_letters, repeats, told = dead_letter_differences(system.bootstrap, expected.sent)
    fine = f"{n_letters:,} with reason and original bytes, {repeats} repeated"
    yield Check(f"{prefix}dead letters", first(told, fine), "each, and no other", not told)
    outcome, _, seconds = read_and_compare(workers, expected, say)
    text = f"{outcome.told()} (read in {seconds:.0f} s)"
    yield Check(f"{prefix}every user over HTTP", text, "equal, memory within 1e-4", outcome.equal)


def uic_verify(
    system: System, workers: Sequence[Service], *arguments: str, seconds: float = 3_600.0
) -> tuple[int, dict[str, Any]]:
    """Run ``uic verify`` and return its exit status, and what it says.

    Raises:
        SystemFailedError: It could not tell.
    """
    urls = ",".join(worker.url for worker in workers)
    done = system.run(
        "verify", "--json", *arguments, check=False, seconds=seconds, worker_urls=urls
    )
    if done.returncode == 2 or not done.stdout:
        raise SystemFailedError(f"uic verify ended {done.returncode}: {done.stderr[-800:]}")
    said: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, said


def check_of_the_check(workers: Sequence[Service], expected: Expectation) -> Check:
    """Show that the comparison fails on one dropped, one doubled and one swapped event."""
    longest = max(expected.oracle.users, key=lambda user: len(expected.oracle.by_user[user]))
    sample = list(dict.fromkeys([longest, *expected.oracle.users[:20]]))
    answers = read_users(workers[0].url, sample)
    small = Oracle(r for user in sample for r in expected.oracle.by_user[user])
    caught = shown_to_fail(small, answers, expected.memory)
    text = ", ".join(
        f"{damage} {'caught' if seen else 'NOT SEEN'}" for damage, seen in caught.items()
    )
    return Check("the comparison itself", text, "fails on each", all(caught.values()))
