"""The lines of the second issue; a line is a module of its own and an entry here."""

from prove.models_rows import (
    line01_checks,
    line02_movielens,
    line03_memory,
    line04_world,
    line05_ebnerd,
    line06_logs,
    line07_training_speed,
    line08_replay,
    line09_attention,
    line10_interruption,
)
from prove.rows import Line

LINES = [
    Line(1, "vectors, contract checks, and mutations that tests notice", line01_checks.prove),
    Line(2, "MovieLens-1M by the protocol of ReChorus 2.0", line02_movielens.prove),
    Line(3, "what a long-term memory is worth and costs", line03_memory.prove),
    Line(4, "simulated world: triggers, ablations, 90 % of the gap", line04_world.prove),
    Line(5, "EB-NeRD with and without the trigger", line05_ebnerd.prove),
    Line(6, "Amazon and Taobao: all models, and staleness", line06_logs.prove),
    Line(7, "training speed beside FuxiCTR and DeepCTR-Torch", line07_training_speed.prove),
    Line(8, "trained bundles in the running system equal offline scores", line08_replay.prove),
    Line(9, "the most attended behavior moves the score the most", line09_attention.prove),
    Line(10, "a training killed at random points and taken up again", line10_interruption.prove),
]
