"""Training on a GPU: as good as on the processor, and taken up there as well."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_logs import make_small_log

from interest_center.core.layout import StateConfig
from models.ctr_config import default_config
from models.samples import PointInTime, point_in_time
from models.tables import TEST, VALIDATION
from models.training import Trainer
from models.training_options import Progress, TrainingOptions
from models.training_state import resume_training, save_training
from models.training_vocabulary import make_vocabulary

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs an NVIDIA GPU and a torch built for it"
)
#: Nothing is drawn: the order of sums is all that differs between devices.
OPTIONS = TrainingOptions(
    epochs=3, requests_at_once=16, part_size=12, window=6, unknown_share=0, memory_dropout=0
)


def make_trainer(model: str, device: str) -> Trainer:
    events, samples = make_small_log()
    validation = (samples.splits == TEST) & (np.arange(len(samples.splits)) % 3 > 0)
    splits = np.where(validation, VALIDATION, samples.splits)
    data: PointInTime = point_in_time(events, replace(samples, splits=splits), StateConfig())
    config = replace(default_config(model, 7, history_length=10), mlp_hidden=(8,), user_dim=2)
    return Trainer(data, make_vocabulary(data, config), config, OPTIONS, device)


@pytest.mark.parametrize("model", ["din+mimn", "gru4rec+hpmn", "dei2n"])
def test_a_gpu_trains_what_the_processor_trains(model: str, tmp_path: Path) -> None:
    on_cpu, on_gpu = (make_trainer(model, device) for device in ("cpu", "cuda"))
    kept = []

    def keep() -> None:
        if not kept and on_gpu.position.part:
            save_training(on_gpu, tmp_path, {})
            kept.append(on_gpu.position.step)

    expected, found = on_cpu.train(), on_gpu.train(Progress(on_part=keep))
    assert next(found.model.parameters()).is_cuda
    np.testing.assert_allclose(
        [epoch["log_loss"] for epoch in found.epochs],
        [epoch["log_loss"] for epoch in expected.epochs],
        atol=0.01,
    )
    again = make_trainer(model, "cuda")
    assert resume_training(again, tmp_path, {})
    assert again.position.step == kept[0]
    resumed = again.train()
    np.testing.assert_allclose(
        [epoch["log_loss"] for epoch in resumed.epochs],
        [epoch["log_loss"] for epoch in found.epochs],
        atol=0.005,
    )
