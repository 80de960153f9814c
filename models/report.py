"""The report of an evaluation as JSON and Markdown, beside the bundle."""

import json
from pathlib import Path
from typing import Any

from interest_center.core.errors import ConfigurationError
from models.bootstrap import MIN_USERS
from models.bundle_files import write_atomically, writing
from models.evaluation import Evaluation
from models.report_tables import markdown_table, tables_of

METHOD = (
    "Every sample sees the events strictly before its time. AUC is exact. GAUC is the AUC within "
    "users weighted by impressions; users with one class are left out. The count baseline scores "
    "smoothed click rates of item, category and user, counted on the training samples."
)


def intervals_text(evaluation: Evaluation) -> str:
    """Return how the intervals were made, in a sentence."""
    options = evaluation.bootstrap
    return (
        f"Intervals: {options.n_resamples} bootstrap draws of users with all their samples, seed "
        f"{options.seed}, percentiles; none for fewer than {MIN_USERS} users."
    )


def check_plots_available() -> None:
    """Find out before anything is computed whether plots can be drawn.

    Raises:
        ConfigurationError: A package is missing.
    """
    try:
        import matplotlib  # noqa: F401
        import sklearn  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            f"the HTML report needs {error.name}, which is not installed",
            hint="pip install 'interest-center[report]', or leave --html out",
        ) from error


def markdown_of(evaluation: Evaluation, data: dict[str, Any]) -> str:
    """Return the report for people."""
    about = ", ".join(f"{name}: {value}" for name, value in data.items())
    parts = [
        f"# {evaluation.model} on {evaluation.split}\n",
        f"Bundle `{evaluation.bundle}`; {about}.\n",
        *(markdown_table(table) for table in tables_of(evaluation)),
        f"{METHOD} {intervals_text(evaluation)}\n",
    ]
    return "\n".join(parts)


def write_report(evaluation: Evaluation, data: dict[str, Any], directory: Path) -> Path:
    """Write ``evaluation-SPLIT.json`` and ``.md``; return the latter's path.

    Raises:
        ConfigurationError: The directory cannot be written to.
    """
    stem = f"evaluation-{evaluation.split}"
    values = {**evaluation.to_dict(), "data": data}
    text = json.dumps(values, indent=2, default=str, allow_nan=False)
    path = directory / f"{stem}.md"
    with writing(directory):
        write_atomically(directory / f"{stem}.json", f"{text}\n".encode())
        write_atomically(path, markdown_of(evaluation, data).encode())
    return path
