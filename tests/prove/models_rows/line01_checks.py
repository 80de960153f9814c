"""Line 1: all vectors, all contract checks on every model, and mutations that tests notice."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator

from models.registry import MEMORIES, model_names
from prove.content_hashes import ROOT
from prove.main_rows.line07_vectors import golden_tests, moved, told
from prove.mutants import copy_tree, green, mutated
from prove.mutations import MUTATIONS
from prove.pytest_runs import Case, run_pytest
from prove.rows import Bench, Check, equal, figure
from prove.trainings import JOBS

NUMBERS = [f"{number:02}" for number in range(1, 11)]
OURS = ROOT / "tests" / "golden" / "vectors"
#: Modules whose every check runs on every model, or on every memory.
OF_MODELS = ("test_rankers", "test_offline_scores")
OF_MEMORIES = ("test_memory_models",)
MIN_MUTATIONS = 20


def prove(bench: Bench) -> Iterator[Check]:
    """Run vectors, contract checks and mutations."""
    yield from vectors(bench)
    yield from contracts(bench)
    yield from mutations(bench)


def vectors(bench: Bench) -> Iterator[Check]:
    """Compare all ten files, of the shared folder if it is there; and see changed ones fail."""
    shared = bench.data_dir.parent / "reference" / "vectors"
    folders = {"tests/golden/vectors": OURS}
    if shared.is_dir():
        folders["the shared folder"] = shared
    else:
        yield figure("the shared folder", f"not there: {shared}")
    for name, folder in folders.items():
        bench.say(f"vectors of {name}")
        outcomes = golden_tests(folder, bench.workspace / "report.xml", NUMBERS)
        fine = all(counts["passed"] and not counts["failed"] for counts in outcomes.values())
        yield Check(f"vectors of {name}", told(outcomes), "all ten files pass", fine)
    files = sorted(folder.glob("*.json"))
    yield equal("files there", [file.name[:2] for file in files], NUMBERS)
    changed = bench.workspace / "changed"
    changed.mkdir()
    for file in files:
        content = json.loads(file.read_text())
        (changed / file.name).write_text(
            json.dumps({**content, "output": moved(content["output"])})
        )
    bench.say("vectors with changed outputs")
    outcomes = golden_tests(changed, bench.workspace / "changed.xml", NUMBERS)
    seen = all(counts["failed"] for counts in outcomes.values())
    yield Check("outputs moved by 1e-3", told(outcomes), "some test of each file fails", seen)


def contracts(bench: Bench) -> Iterator[Check]:
    """Run the contract checks; each has to meet every model of the registry."""
    bench.say("contract checks")
    cases = run_pytest(ROOT, ["tests/contract", "--every-model"], bench.workspace / "contract.xml")
    counts = Counter(case.outcome for case in cases)
    bad = [f"{case.name}: {case.outcome}" for case in cases if not case.passed]
    yield Check(
        "contract checks",
        "; ".join([f"{counts['passed']:,} passed", *bad[:4]]),
        "all pass, none is skipped",
        bool(cases) and not bad,
    )
    names = model_names()
    for what, modules, wanted in (
        ("models", OF_MODELS, names),
        ("memories", OF_MEMORIES, sorted(MEMORIES)),
    ):
        met = names_met([case for case in cases if case.module.endswith(modules)], wanted)
        short = [f"{check}: {len(found)}" for check, found in met.items() if found != set(wanted)]
        yield Check(
            f"checks of all {what}",
            f"{len(met)} checks on {len(wanted)} {what}"
            + (f"; not on all: {', '.join(short[:4])}" if short else ""),
            f"each on every name of the registry: {', '.join(wanted)}",
            bool(met) and not short,
        )


def names_met(cases: list[Case], names: list[str]) -> dict[str, set[str]]:
    """Return the names that each check with such a parameter passed on."""
    met: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        # A name may hold hyphens itself.
        inside = f"-{'-'.join(case.parameters)}-"
        found = [name for name in names if f"-{name}-" in inside]
        if found and case.passed:
            met[case.function].add(max(found, key=len))
    return met


def mutations(bench: Bench) -> Iterator[Check]:
    """Break one line after the other on copies of the tree."""
    bench.say("copying the tree")
    copies = [copy_tree(bench.workspace / f"copy-{number}") for number in range(JOBS)]
    cases = green(copies[0], MUTATIONS, bench.workspace / "green.xml")
    bad = [f"{case.name}: {case.outcome}" for case in cases if not case.passed]
    yield Check(
        "tests of the mutations on an unchanged copy",
        "; ".join([f"{len(cases) - len(bad)} passed", *bad[:4]]),
        "all pass",
        bool(cases) and not bad,
    )
    outcomes = list(mutated(copies, MUTATIONS, bench.say))
    missed = [f"{one.mutation.what}: {one.trouble}" for one in outcomes if one.trouble]
    caught = len(outcomes) - len(missed)
    yield Check(
        "mutations caught",
        "; ".join([f"{caught} of {len(outcomes)}", *missed]),
        f"all, at least {MIN_MUTATIONS}",
        not missed and caught >= MIN_MUTATIONS,
    )
    yield figure("what was broken", "; ".join(one.mutation.what for one in outcomes))
