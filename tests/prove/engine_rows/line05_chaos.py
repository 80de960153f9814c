"""Line 5: 100 random kills under load, every named fault by itself, and two broken builds."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from prove.bundles import bundle_for
from prove.chaos import Chaos
from prove.content_hashes import ROOT
from prove.logs import read_taobao
from prove.mutants import copy_tree
from prove.mutations.mutation import Mutation
from prove.pytest_runs import Case, run_pytest
from prove.rows import Bench, Check
from prove.steady_load import SteadyLoad, endless
from prove.system import Service, System
from prove.verification import check_of_the_check, expectation, uic_verify, verified

N_PARTITIONS = 4
N_MALFORMED = 300
RATE = 500.0
N_KILLS = 100
#: Of a broken build: enough kills of workers to lose what it can lose.
N_KILLS_OF_A_BROKEN_BUILD = 8
#: Fewer rows than users, so that rows come and go.
SETTINGS = {
    "partitions": N_PARTITIONS,
    "hot_memory_mib": 3,
    "snapshot_interval_seconds": 20,
    "checkpoint_interval_seconds": 1,
}

_FAULTS = "tests/integration/test_faults.py"
_UNDER_LOAD = "tests/integration/test_faults_under_load.py"
_WORKER = "tests/integration/test_worker.py"
_TWO = "tests/integration/test_two_workers.py"
#: Each named fault, and the tests that play it.
FAULTS: tuple[tuple[str, str], ...] = (
    (
        "kill -9 at every labelled point",
        f"{_WORKER}::test_a_kill_at_a_fault_point_neither_loses_nor_doubles",
    ),
    ("broker killed, restarted, paused", f"{_UNDER_LOAD}::test_a_broker_that_is_gone_for_a_while"),
    ("network to it cut", f"{_UNDER_LOAD}::test_a_worker_whose_network_is_cut"),
    ("disk full", f"{_FAULTS}::test_a_full_disk_stops_the_worker_and_loses_nothing"),
    ("RocksDB files cut short", f"{_FAULTS}::test_a_copy_that_cannot_be_opened_is_replaced"),
    ("RocksDB records corrupted", f"{_FAULTS}::test_damage_that_is_met_later_is_no_wrong_answer"),
    (
        "snapshot half uploaded, corrupted, missing",
        f"{_UNDER_LOAD}::test_a_snapshot_that_is_not_whole_is_no_start",
    ),
    (
        "topic recreated",
        f"{_WORKER}::test_a_recreated_topic_is_refused_until_asked_to_start_afresh",
    ),
    (
        "topic recreated under a running worker",
        f"{_WORKER}::test_a_topic_recreated_under_a_running_worker_stops_it",
    ),
    ("offsets out of retention", f"{_WORKER}::test_a_truncated_log_is_refused_until_accepted"),
    ("clock jumps", f"{_UNDER_LOAD}::test_clocks_that_jump_change_nothing"),
    ("duplicate delivery", f"{_UNDER_LOAD}::test_what_is_delivered_twice_counts_once"),
    ("poison events", f"{_WORKER}::test_bad_records_go_to_the_dead_letters_and_the_stream_goes_on"),
    ("paused and resumed worker", f"{_TWO}::test_a_paused_worker_does_not_answer_from_the_past"),
    ("rolling restart", f"{_UNDER_LOAD}::test_a_rolling_restart"),
    ("partitions moving to and fro", f"{_UNDER_LOAD}::test_partitions_that_move_to_and_fro"),
)

#: Builds that the run has to catch.
BROKEN = (
    Mutation(
        "a checkpoint says it holds a batch that it does not hold",
        "interest_center/journal.py",
        "            events = np.concatenate([np.zeros(0, EVENT_DTYPE), *self._pending])\n",
        "            events = np.concatenate([np.zeros(0, EVENT_DTYPE), *self._pending[:-1]])\n",
        "",
    ),
    Mutation(
        "the duplicate check is skipped",
        "interest_center/engine_scan.py",
        "        elif _is_duplicate(hot.profiles, row, events.event_hash[i]):\n",
        "        elif False:\n",
        "",
    ),
)


def prove(bench: Bench) -> Iterator[Check]:
    """Play it all."""
    yield from chaos(bench)
    yield from broken_builds(bench)
    yield from named_faults(bench)


def chaos(bench: Bench) -> Iterator[Check]:
    """Kill a hundred times under load; then compare every user and every counter, twice."""
    events = read_taobao(bench)
    bundle = bundle_for(events, bench.workspace / "bundle", bench.seed)
    with System(bench.workspace / "system", bundle=bundle, **SETTINGS) as system:
        yield from play(bench, system, bundle, N_KILLS)


def play(bench: Bench, system: System, bundle: Path, n_kills: int) -> Iterator[Check]:
    """Start everything, kill so often, and compare."""
    events = read_taobao(bench)
    system.start_broker()
    messages = endless(events, bench.rng(5), N_PARTITIONS, N_MALFORMED)
    load = SteadyLoad(system.bootstrap, messages, RATE)
    story = Chaos(system, bench.rng(5, 1), bench.say)
    load.start()
    try:
        story.start()
        story.run(n_kills)
        workers = story.finish()
    finally:
        load.stop()
    yield from story.told(n_kills)
    bench.say("reading the topic")
    landed = load.landed()
    yield load.check(landed)
    expected = expectation(landed, bundle)
    yield from verified(system, workers, expected, bench.say, f"after {n_kills} kills")
    yield check_of_the_check(workers, expected)
    yield verify_command(bench, system, workers, len(landed))


def verify_command(
    bench: Bench, system: System, workers: Sequence[Service], n_records: int
) -> Check:
    """Run ``uic verify`` over all users."""
    bench.say("uic verify")
    status, said = uic_verify(system, workers)
    return Check(
        "uic verify of all users",
        f"{'clean' if said['clean'] else said['differences'][:3]}: {said['users']:,} users, "
        f"{said['events']:,} events, {said['memories']:,} memories",
        "clean, exit status 0",
        said["clean"] and status == 0 and said["records"] == n_records,
    )


def broken_builds(bench: Bench) -> Iterator[Check]:
    """Let builds with one line wrong go through a shorter run, which must not pass."""
    bundle = bundle_for(read_taobao(bench), bench.workspace / "bundle-2", bench.seed)
    for number, build in enumerate(BROKEN):
        code = copy_tree(bench.workspace / f"build-{number}")
        source = code / build.file
        text = source.read_text()
        n_places = text.count(build.text)
        source.write_text(text.replace(build.text, build.replacement))
        home = bench.workspace / f"broken-{number}"
        with System(home, bundle=bundle, **SETTINGS) as system:
            system.code = code
            checks = list(play(bench, system, bundle, N_KILLS_OF_A_BROKEN_BUILD))
        failed = [f"{check.what}: {check.figure[:160]}" for check in checks if not check.ok]
        yield Check(
            f"broken build, {build.what}",
            "; ".join(failed) or "NOT SEEN",
            "caught by counters or users",
            n_places == 1 and any("counters" in one or "users" in one for one in failed),
        )


def named_faults(bench: Bench) -> Iterator[Check]:
    """Run the tests of each named fault."""
    bench.say("named faults")
    tests = [test for _, test in FAULTS]
    cases = run_pytest(ROOT, tests, bench.workspace / "faults.xml")
    for what, test in FAULTS:
        name = test.rpartition("::")[2]
        yield of_fault(what, [case for case in cases if case.function == name])


def of_fault(what: str, cases: list[Case]) -> Check:
    """Return how a fault was borne."""
    bad = [f"{case.name}: {case.outcome} {case.message[:120]}" for case in cases if not case.passed]
    parameters = [" ".join(case.parameters) for case in cases if "[" in case.name]
    fine = f"borne: {', '.join(parameters)}" if parameters else "borne"
    return Check(what, "; ".join(bad) or fine, "borne, none skipped", bool(cases) and not bad)
