"""The package guard: a wheel holds the four packages, and nobody else claims their names."""

import subprocess
import sys
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {"interest_center", "models", "ranking", "streams"}


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel from a copy of what a source distribution holds."""
    out = tmp_path_factory.mktemp("wheel")
    build = (
        "import setuptools.build_meta as b, sys; "
        "print(b.build_wheel(sys.argv[1], {'--build-option': ['--quiet']}))"
    )
    source = tmp_path_factory.mktemp("source")
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(source / "clone")], check=True)
    subprocess.run(
        [sys.executable, "-c", build, str(out)],
        cwd=source / "clone",
        check=True,
        capture_output=True,
    )
    (built,) = out.glob("*.whl")
    return built


def test_wheel_holds_the_four_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES


def test_wheel_holds_type_markers_and_data_files(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert "interest_center/core/event.schema.json" in names
    assert any(name.startswith("streams/") and name.endswith("pom.xml") for name in names)


def test_no_other_distribution_claims_our_names() -> None:
    owners = packages_distributions()
    assert {package: set(owners[package]) for package in PACKAGES} == {
        package: {"interest-center"} for package in PACKAGES
    }
