"""The rooms of the house and who may enter which: the import table, read from the code itself."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("interest_center", "models", "ranking", "streams")


@dataclass(frozen=True)
class Room:
    """Modules, what they may import of ours (prefixes) and of others, and whether they are pure."""

    name: str
    modules: tuple[str, ...]
    ours: tuple[str, ...]
    third_party: frozenset[str]


def room(name: str, modules: str, ours: str, third_party: str) -> Room:
    """Build a room from words."""
    return Room(name, tuple(modules.split()), tuple(ours.split()), frozenset(third_party.split()))


ENGINE = (
    "interest_center.center interest_center.answers interest_center.query "
    "interest_center.progress interest_center.dictionary interest_center.durable_batch "
    "interest_center.state_read interest_center.slices interest_center.engine_scan "
    "interest_center.hot_rows interest_center.cold_rows interest_center.row_arrays "
    "interest_center.row_index interest_center.row_codec interest_center.row_decode "
    "interest_center.row_decode_layout_2 interest_center.row_checksum "
    "interest_center.scan_arrays "
    "interest_center.partition_lock interest_center.journal interest_center.write_back"
)
SERVICE = (
    "interest_center.api interest_center.client interest_center.client_commands "
    "interest_center.settings interest_center.metrics interest_center.logs"
)
# The first room whose module prefix fits is the room of a file.
ROOMS = (
    # numba: only for `compiled`, which the engine and the models share.
    room("core", "interest_center.core", "interest_center.core", "numpy msgspec numba"),
    room(
        "stores",
        "interest_center.stores",
        "interest_center.core interest_center.stores",
        "numpy msgspec rocksdict fsspec structlog",
    ),
    room("engine", ENGINE, "interest_center.core " + ENGINE, "numpy numba msgspec"),
    room(
        "service",
        SERVICE,
        "interest_center.core interest_center.stores " + ENGINE + " " + SERVICE,
        "numpy msgspec litestar uvicorn aiohttp yarl kafka pydantic pydantic_settings "
        "prometheus_client structlog click rich",
    ),
    room("cli", "interest_center.cli", "interest_center.core", "click"),
    room("interest_center", "interest_center", "", ""),
    room(
        "models",
        "models",
        "interest_center.core models",
        "torch numpy numba polars safetensors rich click msgspec structlog tensorboardX "
        "matplotlib sklearn",
    ),
    room(
        "streams",
        "streams",
        "interest_center models streams",
        "faust mode aiokafka kafka numpy msgspec click rich structlog uvicorn aiohttp polars "
        "prometheus_client uvloop quixstreams",
    ),
    room(
        "ranking",
        "ranking",
        "interest_center models ranking",
        "torch numpy litestar aiohttp aiokafka msgspec click rich structlog uvicorn uvloop "
        "prometheus_client",
    ),
)
# Pure: no clock, no input or output, no environment.
PURE = ("core", "engine")
IMPURE_MODULES = frozenset(["time", "os", "random", "socket", "subprocess", "threading", "asyncio"])
NAMED_EXCEPTIONS = {
    # Kills the process at a labelled point in tests; reads its label from the environment.
    ("interest_center.core.fault_points", "os"),
    ("interest_center.core.fault_points", "subprocess"),
    # Passes the environment on to Java unread.
    ("streams.broker_process", "os"),
    # Looks whether values are shared with other processes, by the variable of prometheus_client.
    ("interest_center.metrics", "os"),
    # The lock of a partition: the engine waits for nothing else.
    ("interest_center.partition_lock", "threading"),
}


def module_name(path: Path) -> str:
    """Return the dotted name of a source file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def source_files() -> list[Path]:
    """Return every Python file of the four packages."""
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def belongs(module: str, prefix: str) -> bool:
    """Tell whether ``module`` is ``prefix`` or lies in it."""
    return module == prefix or module.startswith(prefix + ".")


def room_of(module: str) -> Room:
    """Return the room of a module."""
    for candidate in ROOMS:
        if any(belongs(module, prefix) for prefix in candidate.modules):
            return candidate
    raise AssertionError(f"{module} stands in no room")


def imports_of(path: Path) -> Iterator[str]:
    """Yield the dotted names that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = (ROOT / inner.replace(".", "/")).with_suffix(".py").exists()
                yield inner if is_module else node.module


def violations(path: Path) -> Iterator[str]:
    """Yield a sentence for each import that the table does not allow."""
    module = module_name(path)
    here = room_of(module)
    for imported in imports_of(path):
        top = imported.split(".")[0]
        if top in sys.stdlib_module_names:
            if (
                here.name in PURE
                and top in IMPURE_MODULES
                and (module, top) not in NAMED_EXCEPTIONS
            ):
                yield f"{module} is pure and imports {imported}"
        elif top in PACKAGES:
            if not any(belongs(imported, prefix) for prefix in here.ours):
                yield f"{module} ({here.name}) imports {imported}"
        elif top not in here.third_party:
            yield f"{module} ({here.name}) imports {imported}"


@pytest.mark.parametrize("path", source_files(), ids=module_name)
def test_imports_follow_the_table(path: Path) -> None:
    assert list(violations(path)) == []


def test_the_table_catches_a_forbidden_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    bad = tmp_path / "interest_center" / "core" / "bad.py"
    bad.parent.mkdir(parents=True)
    bad.write_text("import time\nimport torch\nfrom streams import worker\nimport numpy\n")
    assert len(list(violations(bad))) == 3


def test_only_settings_and_named_exceptions_read_the_environment() -> None:
    allowed = {"interest_center.settings", *(module for module, _ in NAMED_EXCEPTIONS)}
    readers = {
        module_name(path)
        for path in source_files()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
    }
    assert readers <= allowed
