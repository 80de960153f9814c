"""A training as a process of its own: one that may be killed, or one of several of a torchrun."""

import sys
from dataclasses import replace
from pathlib import Path

import torch

from interest_center.core.layout import StateConfig
from models.ctr_config import CtrConfig
from models.processes import join_processes, leads, leave_processes, own_rank
from models.recipe import read_recipe
from models.simulate import simulate_walk
from models.training import Trainer
from models.training_options import Progress, TrainingOptions
from models.training_run import TrainingPlan, train_bundle
from models.training_state import resume_training, save_training
from models.training_tables import TrainingData, TrainingTables, read_training_data
from models.training_vocabulary import make_vocabulary

STATE = StateConfig()
MODEL = "din+mimn"
#: Many parts, after each of which the training can be left, and seconds of work behind them.
SETTINGS = ("epochs=8", "requests_at_once=16", "part_size=35", "user_dim=4", "patience=9")
#: Nothing is drawn, and nothing is measured over a batch: the order of a sum is all that differs.
SAME_SUMS = ("unknown_share=0", "memory_dropout=0", "activation=prelu", "epochs=2")


def write_tables(directory: Path, n_shoppers: int = 14, days: float = 10.0) -> TrainingTables:
    """Write the tables of a few simulated shoppers."""
    simulation = simulate_walk(3, n_shoppers, days)
    tables = tables_in(directory)
    simulation.events_table().write_parquet(tables.events)
    simulation.samples_table().write_parquet(tables.samples)
    return tables


def tables_in(directory: Path) -> TrainingTables:
    return TrainingTables(directory / "events.parquet", directory / "samples.parquet", STATE)


def read_configs(*settings: str) -> tuple[CtrConfig, TrainingOptions]:
    return read_recipe(None, MODEL, [*SETTINGS, *settings]).configs(STATE)


def make_plan(out: Path, *settings: str, seconds_between_states: float = 0.0) -> TrainingPlan:
    return TrainingPlan(*read_configs(*settings), "cpu", out, seconds_between_states)


def make_trainer(data: TrainingData, *settings: str) -> Trainer:
    config, options = read_configs(*settings)
    vocabulary = make_vocabulary(data.joined, config, data.prices)
    return Trainer(data.joined, vocabulary, config, options)


def train_alike(data: TrainingData, out: Path) -> None:
    """Train three times in all processes: to a bundle, once more, and from a state on."""
    join_processes("cpu")
    train_bundle(replace(make_plan(out, *SAME_SUMS), seconds_between_states=1e9), data)
    trainer = make_trainer(data, *SAME_SUMS)
    at = trainer.position

    def keep() -> None:
        if leads() and (at.epoch, at.part) == (1, 1):
            save_training(trainer, out, {"training": "alike"})

    trained = trainer.train(Progress(on_part=keep))
    again = make_trainer(data, *SAME_SUMS)
    assert resume_training(again, out, {"training": "alike"})
    steps = again.position.step
    resumed = again.train()
    found = {
        "steps": [steps, at.step],
        "auc": [epoch["auc"] for epoch in trained.epochs],
        "trained": trained.model.state_dict(),
        "present": trainer.model.state_dict(),
        "resumed": resumed.model.state_dict(),
    }
    torch.save(found, out / f"rank-{own_rank()}.pt")
    leave_processes()


if __name__ == "__main__":
    torch.set_num_threads(1)
    world, bundle = Path(sys.argv[2]), Path(sys.argv[3])
    if sys.argv[1] == "alike":
        train_alike(read_training_data(tables_in(world)), bundle)
    else:
        train_bundle(make_plan(bundle), read_training_data(tables_in(world)))
