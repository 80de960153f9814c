"""Hashes of what a result of the proof follows from: data, recipes, code."""

import ast
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: What a result follows from besides data and recipe.
CODE = ("models", "interest_center/core", "uv.lock")
#: What makes tables, whose contents are hashed, and what only tells a person something.
NOT_OF_RESULTS = (
    *("adapters", "negatives", "sampling", "shopper", "simulate"),
    *("interruption", "report", "similar_names", "table_notes"),
)


def hash_of(*parts: object) -> str:
    """Return 16 hex digits over JSON-able parts."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def content_hash(files: Iterable[Path]) -> str:
    """Return 16 hex digits over names and contents of files."""
    digest = hashlib.blake2b(digest_size=8)
    for file in files:
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def code_hash(but: tuple[str, ...] = NOT_OF_RESULTS) -> str:
    """Return 16 hex digits over the code that results follow from.

    What is said to people who read the code is no part of it: comments, docstrings, layout.

    Args:
        but: Beginnings of names of files and directories that are left out.
    """
    found = list[Path]()
    for part in CODE:
        path = ROOT / part
        found += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    digest = hashlib.blake2b(digest_size=8)
    for file in found:
        name = file.relative_to(ROOT)
        if not any(part.startswith(but) for part in name.parts[1:]):
            text = file.read_text()
            digest.update(str(name).encode() + b"\0")
            digest.update((_statements(text) if file.suffix == ".py" else text).encode())
    return digest.hexdigest()


def _statements(text: str) -> str:
    """Return a module without its docstrings and comments."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [part for part in body if not _is_text(part)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
