"""The report of an evaluation as one HTML page that needs nothing else and opens offline."""

import html
from pathlib import Path

from models.bundle_files import write_atomically, writing
from models.evaluation import Evaluation
from models.report import METHOD, intervals_text
from models.report_sections import ReportInput, sections_of
from models.report_style import STYLE
from models.report_tables import interval_text, number


def write_html(given: ReportInput, path: Path) -> None:
    """Write the page.

    Raises:
        ConfigurationError: The file cannot be written, or the split does not hold the request.
    """
    page = html_of(given)
    with writing(path.parent):
        write_atomically(path, page.encode())


def html_of(given: ReportInput) -> str:
    """Return the page.

    Raises:
        ConfigurationError: The split does not hold the request.
    """
    sections = sections_of(given)
    evaluation = given.evaluation
    title = html.escape(f"{evaluation.model} on {evaluation.split}")
    about = " · ".join(f"{html.escape(k)}: {html.escape(str(v))}" for k, v in given.about.items())
    links = "".join(f'<li><a href="#{s.anchor}">{s.head}</a></li>' for s in sections)
    body = "\n".join(
        f'<section id="{s.anchor}" aria-labelledby="{s.anchor}-head">\n'
        f'<h2 id="{s.anchor}-head">{s.head}</h2>\n{s.body}\n</section>'
        for s in sections
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p class="about">Bundle <code>{evaluation.bundle}</code> · {evaluation.figures["n"]:,} samples
 · {about}</p>
{_tiles(evaluation)}
</header>
<nav aria-label="Sections"><ul>{links}</ul></nav>
<main>
{body}
</main>
<footer><p>{METHOD} {intervals_text(evaluation)}</p></footer>
</body>
</html>
"""


def _tiles(evaluation: Evaluation) -> str:
    f = evaluation.figures
    ratio, error = f["predicted_to_observed"], f["calibration_error"]
    tiles = (
        ("AUC", number(f["auc"]), interval_text(f["auc_interval"])),
        ("GAUC", number(f["gauc"]), interval_text(f["gauc_interval"])),
        ("log loss", number(f["log_loss"]), f"click rate {number(f['click_rate'], '.1%')}"),
        ("predicted / observed clicks", number(ratio, ".3f"), f"calibration error {error:.4f}"),
    )
    shown = "".join(
        f'<div><dt>{name}</dt><dd class="figure">{value}</dd><dd class="range">{rest}</dd></div>'
        for name, value, rest in tiles
    )
    return f'<dl class="tiles">{shown}</dl>'
