"""Processes of one torchrun: alike to the last bit, and close to one process alone."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from training_process import SAME_SUMS, make_trainer, write_tables

from models.bundle import load_bundle
from models.training_tables import read_training_data

SCRIPT = Path(__file__).parents[1] / "training_process.py"


def test_two_processes_train_alike_resume_alike_and_equal_one(tmp_path: Path) -> None:
    tables = write_tables(tmp_path)
    out = tmp_path / "bundle"
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    finished = subprocess.run(
        [sys.executable, *torchrun, str(SCRIPT), "alike", str(tmp_path), str(out)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=400,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout
    assert "FutureWarning" not in finished.stdout
    assert finished.stdout.count("epoch 1:") == 1, "the leader alone tells"
    first, second = (torch.load(out / f"rank-{rank}.pt") for rank in range(2))
    assert 0 < first["steps"][0] < first["steps"][1], "taken up half-way"
    bundle = load_bundle(out).ranker.model.state_dict()
    for name, weight in first["trained"].items():
        for other in (first["resumed"], second["trained"], second["resumed"], bundle):
            assert torch.equal(weight, other[name]), name
    for name, weight in first["present"].items():
        assert torch.equal(weight, second["present"][name]), name

    torch.set_num_threads(1)
    # One process with the batches of both: only the order of sums differs.
    alone = make_trainer(read_training_data(tables), *SAME_SUMS, "requests_at_once=32")
    trained = alone.train()
    assert alone.position.step == first["steps"][1]
    np.testing.assert_allclose(
        [epoch["auc"] for epoch in trained.epochs], first["auc"], atol=0.01, rtol=0
    )
    for name, weight in alone.model.state_dict().items():
        torch.testing.assert_close(first["present"][name], weight, atol=5e-3, rtol=0, msg=name)
