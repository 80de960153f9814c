"""``uic``: the names of the commands; each lives in the package it drives, imported when called."""

import importlib
from dataclasses import dataclass
from importlib.metadata import version

import click

from interest_center.core.errors import InterestCenterError


@dataclass(frozen=True)
class LazyCommand:
    """Where a command lives, and the line that ``uic --help`` shows without importing it."""

    module: str
    attribute: str
    summary: str


COMMANDS = {
    "broker": LazyCommand("streams.broker", "broker", "A real Apache Kafka on this machine."),
    "topics": LazyCommand("streams.topic_commands", "topics", "Create, describe, re-key topics."),
    "simulate": LazyCommand("models.simulate", "simulate", "Simulated shoppers, as event logs."),
    "produce": LazyCommand("streams.producer", "produce", "Push behavior events to Kafka."),
    "worker": LazyCommand("streams.worker", "worker", "The interest worker: events to states."),
    "state": LazyCommand("interest_center.client_commands", "state", "Show a user's state."),
    "lag": LazyCommand("streams.lag", "lag", "How far the states are behind the events, live."),
    "snapshot": LazyCommand(
        "streams.snapshot_commands", "snapshot", "Make, list, check and restore snapshots."
    ),
    "verify": LazyCommand("streams.verify", "verify", "States recomputed from the log, compared."),
    "plan": LazyCommand("streams.planning.command", "plan_command", "What a site needs, by size."),
    "bench": LazyCommand("streams.bench.command", "bench", "How fast the engine is here."),
    "convert": LazyCommand(
        "models.adapters.command", "convert", "Public logs as tables to train on."
    ),
    "sample": LazyCommand(
        "models.sampling_command", "sample", "An event log as samples, with negatives drawn."
    ),
    "train": LazyCommand("models.train", "train", "Train a model bundle from event logs."),
    "evaluate": LazyCommand("models.evaluate", "evaluate", "AUC, GAUC, log loss of a bundle."),
    "ranker": LazyCommand("ranking.command", "ranker", "The ranking worker: candidates to scores."),
    "exposures": LazyCommand(
        "streams.exposures", "exposures", "What was shown and chosen, as tables to train on."
    ),
    "demo": LazyCommand("streams.demo", "demo", "The whole system, explained in a minute."),
}


class LazyGroup(click.Group):
    """Imports a command when it is called, and reports our errors without a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the order in which a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command, None when there is none of this name."""
        lazy = COMMANDS.get(cmd_name)
        if lazy is None:
            return None
        command = getattr(importlib.import_module(lazy.module), lazy.attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, so that help imports nothing."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.summary) for name, lazy in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; an operating error becomes one line, its way out, and status 2."""
        try:
            return super().invoke(ctx)
        except InterestCenterError as error:
            click.echo(f"error: {error.message}", err=True)
            if error.hint:
                click.echo(f"  next: {error.hint}", err=True)
            ctx.exit(2)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("interest-center"), prog_name="uic")
def cli() -> None:
    """User Interest Center: behavior events in, live interest states and rankings out.

    A first look: `uic demo`. By hand: `uic broker start`, `uic topics create`, `uic worker`,
    `uic produce events.jsonl`, `uic state USER`. Every setting is an environment variable
    UIC_...; `uic COMMAND --help` names those that matter to the command.
    """


def main() -> None:
    """Run ``uic``; the entry point of the console script."""
    cli(prog_name="uic")


if __name__ == "__main__":
    main()
