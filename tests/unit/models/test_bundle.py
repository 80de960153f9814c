"""A bundle on disk: read whole or refused, replaced as a whole, no torch for the worker."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from interest_center.core.errors import BundleError, ConfigurationError
from interest_center.core.layout import StateConfig
from models import bundle_files
from models.bundle import load_bundle, load_state_rules, load_updater, untrained_bundle
from models.bundle_files import MANIFEST, Manifest, read_manifest
from models.vocabulary import Vocabulary


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    untrained_bundle(tmp_path / "bundle")
    return tmp_path / "bundle"


def weights_path(directory: Path) -> Path:
    return directory / read_manifest(directory).weights.file


def test_manifest_tells_what_the_bundle_is(directory: Path) -> None:
    bundle = load_bundle(directory)
    assert bundle.name == "din+mimn"
    assert len(bundle.fingerprint) == 16
    assert bundle.manifest["memory_fingerprint"] == f"{bundle.memory_fingerprint:016x}"
    assert bundle.state == StateConfig()
    assert bundle.manifest["config"]["memory"] == "mimn"
    assert json.loads((directory / MANIFEST).read_text())["fingerprint"] == bundle.fingerprint


def test_ranker_and_updater_agree_on_the_fingerprint(directory: Path) -> None:
    updater = load_updater(directory)
    assert updater is not None
    assert updater.fingerprint == load_bundle(directory).memory_fingerprint != 0


def test_a_bundle_without_memory_has_no_updater(tmp_path: Path) -> None:
    untrained_bundle(tmp_path, model="din")
    assert load_updater(tmp_path) is None
    assert load_bundle(tmp_path).memory_fingerprint == 0


def test_the_worker_side_imports_no_torch(directory: Path) -> None:
    program = (
        f"import sys, pathlib, models.bundle as b; d = pathlib.Path({str(directory)!r});"
        "assert b.load_updater(d).row_floats == 325;"
        "assert b.load_state_rules(d).n_behaviors == 100;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[3])


@pytest.mark.parametrize("load", [load_updater, load_bundle])
class TestDamage:
    """Every damage is a clear refusal, for the worker's way in and for the ranker's."""

    def test_no_bundle(self, load, tmp_path: Path) -> None:
        with pytest.raises(BundleError, match="no bundle in"):
            load(tmp_path / "nothing")

    def test_manifest_cut_short(self, load, directory: Path) -> None:
        path = directory / MANIFEST
        path.write_bytes(path.read_bytes()[:200])
        with pytest.raises(BundleError, match="damaged manifest"):
            load(directory)

    def test_manifest_lacks_a_field(self, load, directory: Path) -> None:
        values = json.loads((directory / MANIFEST).read_text())
        del values["weights"]
        (directory / MANIFEST).write_text(json.dumps(values))
        with pytest.raises(BundleError, match="weights"):
            load(directory)

    def test_another_format(self, load, directory: Path) -> None:
        values = json.loads((directory / MANIFEST).read_text())
        (directory / MANIFEST).write_text(json.dumps({**values, "format": 99}))
        with pytest.raises(BundleError, match="format 99"):
            load(directory)

    def test_weights_missing(self, load, directory: Path) -> None:
        weights_path(directory).unlink()
        with pytest.raises(BundleError, match="lacks weights-"):
            load(directory)

    @pytest.mark.parametrize("where", [8, 1000, -1])
    def test_one_flipped_bit(self, load, directory: Path, where: int) -> None:
        path = weights_path(directory)
        content = bytearray(path.read_bytes())
        content[where] ^= 1
        path.write_bytes(content)
        with pytest.raises(BundleError, match="damaged"):
            load(directory)

    def test_weights_cut_short(self, load, directory: Path) -> None:
        path = weights_path(directory)
        path.write_bytes(path.read_bytes()[:-5])
        with pytest.raises(BundleError, match="damaged"):
            load(directory)

    def test_configuration_that_does_not_fit_the_tensors(self, load, directory: Path) -> None:
        values = json.loads((directory / MANIFEST).read_text())
        values["config"]["memory_config"]["n_slots"] = 5
        (directory / MANIFEST).write_text(json.dumps(values))
        with pytest.raises(BundleError):
            load(directory)

    def test_memory_of_a_later_version(self, load, directory: Path) -> None:
        values = json.loads((directory / MANIFEST).read_text())
        values["config"]["memory"] = "unheard"
        (directory / MANIFEST).write_text(json.dumps(values))
        with pytest.raises(BundleError, match="unheard"):
            load(directory)

    @pytest.mark.parametrize(
        ("part", "field", "value"),
        [
            ("config", "history_length", 7),
            ("config", "n_pages", 7),
            ("state", "late_after_ms", 5),
            ("state", "memory_types", ["click"]),
            (None, "fingerprint", "0123456789abcdef"),
            (None, "memory_fingerprint", "0123456789abcdef"),
            (None, "memory_fingerprint", ""),
        ],
    )
    def test_an_edited_manifest(
        self, load, directory: Path, part: str | None, field: str, value: object
    ) -> None:
        values = json.loads((directory / MANIFEST).read_text())
        edited = values if part is None else values[part]
        assert edited[field] != value
        edited[field] = value
        (directory / MANIFEST).write_text(json.dumps(values))
        with pytest.raises(BundleError, match="fingerprint of"):
            load(directory)


@pytest.mark.parametrize("load", [load_updater, load_bundle])
def test_a_bundle_is_read_while_it_is_replaced(
    load, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest is the old one, then its weights are gone: the new bundle is read."""
    replaced = []

    def read_and_replace(where: Path) -> Manifest:
        manifest = read_manifest(where)
        if not replaced:
            replaced.append(untrained_bundle(where, seed=1))
        return manifest

    monkeypatch.setattr(bundle_files, "read_manifest", read_and_replace)
    found = load(directory)
    expected = replaced[0].memory_fingerprint
    memory = found.fingerprint if load is load_updater else found.memory_fingerprint
    assert f"{memory:016x}" == expected


def test_a_directory_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot write to"):
        untrained_bundle(tmp_path / "file" / "bundle")


def test_overwriting_leaves_one_weights_file_and_a_whole_bundle(directory: Path) -> None:
    before = load_bundle(directory).fingerprint
    untrained_bundle(directory, seed=1)
    after = load_bundle(directory)
    assert after.fingerprint != before
    assert sorted(p.name for p in directory.iterdir()) == [MANIFEST, weights_path(directory).name]


def test_new_weights_without_their_manifest_leave_the_old_bundle(directory: Path) -> None:
    """What a crash between the two files leaves behind."""
    before = load_bundle(directory)
    manifest = (directory / MANIFEST).read_bytes()
    old = weights_path(directory).read_bytes()
    untrained_bundle(directory, seed=1)
    (directory / MANIFEST).write_bytes(manifest)
    weights_path(directory).write_bytes(old)
    assert load_bundle(directory).fingerprint == before.fingerprint


def test_scores_follow_the_fingerprint_of_the_state_rules(tmp_path: Path) -> None:
    one = untrained_bundle(tmp_path / "a", state=StateConfig())
    two = untrained_bundle(tmp_path / "b", state=StateConfig(memory_types=("click",)))
    assert one.fingerprint != two.fingerprint
    # The memory's weights are the same; which events feed it is in the state rules.
    assert one.memory_fingerprint == two.memory_fingerprint
    assert load_state_rules(tmp_path / "b") == StateConfig(memory_types=("click",))
    assert msgspec.json.decode((tmp_path / "b" / MANIFEST).read_bytes())["state"]["memory_types"]


def test_unknown_model_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="unknown model") as refused:
        untrained_bundle(tmp_path, model="din+nothing")
    assert "din+mimn" in refused.value.hint


def test_vocabulary_maps_ids_and_missing_categories() -> None:
    items = np.array([30, 10, 20, 10], np.uint64)
    vocabulary = Vocabulary.from_pairs(items, np.array([3, 0, 2, 1], np.uint64))
    assert vocabulary.items.tolist() == [10, 20, 30]
    assert vocabulary.item_categories.tolist() == [1, 2, 3]
    asked = np.array([10, 11, 30, 2**64 - 1, 0], np.uint64)
    assert vocabulary.item_rows(asked).tolist() == [1, 0, 3, 0, 0]
    given = np.array([0, 0, 1, 2, 0], np.uint64)
    assert vocabulary.category_rows(asked, given).tolist() == [1, 0, 1, 2, 0]


def test_an_empty_vocabulary_knows_nothing(tmp_path: Path) -> None:
    nothing = np.zeros(0, np.uint64)
    untrained_bundle(tmp_path, vocabulary=Vocabulary.from_pairs(nothing, nothing))
    updater = load_updater(tmp_path)
    assert updater is not None
    rows = updater.initial_row()[None].copy()
    updater.update_many(
        rows, np.zeros(1, np.int64), np.array([5], np.uint64), np.array([7], np.uint64)
    )
    assert np.isfinite(rows).all()
