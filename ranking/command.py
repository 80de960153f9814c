"""``uic ranker``: its options, and who serves."""

import importlib
import logging
import socket
from pathlib import Path
from typing import Any

import click

from interest_center.logs import show_our_logs
from interest_center.settings import Settings, load_settings
from ranking.options import RankerOptions
from ranking.port import bind
from ranking.processes import RankingProcesses

EXAMPLE = """\b
Example:
  uic ranker --bundle DIR
  curl -s localhost:8090/v1/rank -H 'content-type: application/json' -d '
    {"user_id": "u42", "candidates": [{"item_id": "1001"}, {"item_id": "1002"}]}'
"""


@click.command(epilog=EXAMPLE)
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    help="Directory of the model bundle, from `uic train`. [UIC_BUNDLE]",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME=DIR",
    help="One more bundle, for requests that ask for it by `model`; may be repeated.",
)
@click.option(
    "--catalog",
    type=click.Path(path_type=Path),
    help="CSV or parquet of the items: item_id, and any of category_id, price and (parquet) "
    "embedding; read again when it is replaced. [UIC_CATALOG]",
)
@click.option(
    "--catalog-topic",
    metavar="NAME",
    help="The same from a compacted topic: the item id as key, the other fields as JSON; no value "
    "takes an item out. [UIC_CATALOG_TOPIC]",
)
@click.option(
    "--from-kafka",
    is_flag=True,
    help="Answer the requests of the topic UIC_RANK_REQUESTS_TOPIC too, into UIC_RANKINGS_TOPIC.",
)
@click.option(
    "--processes",
    type=int,
    help="Ranking processes behind the port, one for each core that is to rank; each has its own "
    "models. [UIC_RANKER_PROCESSES, 1]",
)
@click.option("--listener", type=int, hidden=True, help="Descriptor of the port, from the parent.")
@click.option("--host", help="Address to listen on. [UIC_RANKER_HOST, 127.0.0.1]")
@click.option("--port", type=int, help="Port, 0 for any free one. [UIC_RANKER_PORT, 8090]")
@click.option(
    "--worker-urls",
    help="Any interest workers, comma-separated; the owner of each user is asked of them. "
    "[UIC_WORKER_URLS, http://127.0.0.1:8080]",
)
@click.option(
    "--deadline-ms",
    type=int,
    help="Longest wait for a user's state; past it the ranking is made without and says "
    "`degraded: state_timeout`. [UIC_RANK_DEADLINE_MS, 50]",
)
def ranker(
    models: tuple[str, ...],
    from_kafka: bool,
    listener: int | None,
    deadline_ms: int | None,
    **given: Any,
) -> None:
    """The ranking worker: orders candidates for a user by the user's live state.

    Start an interest worker first (`uic worker`), with the same bundle.

    The answer lists the items best first with their scores, and says how fresh the state is
    (`as_of`, `age_ms`), which model scored, and in `degraded` whether a part of the state was
    missing: memory_mismatch (the worker runs another bundle), memory_not_built, state_timeout,
    state_unavailable, state_mismatch (the worker follows other rules, UIC_STATE_CONFIG),
    state_unreadable. Request fields and examples: http://localhost:8090/schema

    Ranking workers hold no state: run as many as you like behind any HTTP balancer, and let it
    ask /health/ready; on one machine, --processes puts several behind one port. Ctrl-C or SIGTERM
    finishes the requests in flight and ends with status 0.
    """
    configure_logs()
    names = {"host": "ranker_host", "port": "ranker_port", "processes": "ranker_processes"}
    named = {names.get(name, name): value for name, value in given.items()}
    settings = load_settings(rank_deadline_ms=deadline_ms, **named)
    options = RankerOptions(models, from_kafka, has_parent=listener is not None)
    if listener is not None:
        with socket.socket(fileno=listener) as inherited:
            _serve(settings, options, inherited)
        return
    with bind(settings.ranker_host, settings.ranker_port) as own:
        if settings.ranker_processes == 1:
            _serve(settings, options, own)
            return
        status = RankingProcesses(settings, options, own).run()
    if status:
        raise click.exceptions.Exit(status)


def _serve(settings: Settings, options: RankerOptions, listener: socket.socket) -> None:
    """Rank in this process."""
    # A parent of several processes does without torch, which this brings in.
    service = importlib.import_module("ranking.service")
    service.run(settings, options, listener)


def configure_logs() -> None:
    """Send our log lines and the warnings of others to standard error."""
    show_our_logs()
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s [%(levelname)s] %(name)s: %(message)s"
    )
