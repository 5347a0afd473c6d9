"""Runs and exports of earlier versions load, resume and draw the same futures.

tests/old/<version>/ holds files that this version wrote: `run`, two steps of training;
`export.zip`, its export; and `futures.npy`, float32 [1, 2, 2, 8, 8, 1], two futures that it drew.
"""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tfvrnn import runs
from tfvrnn.runs.checkpoints import Checkpoints
from tfvrnn.sampling import sample_videos
from tfvrnn.serving import samplers
from tfvrnn.training.optimizer import MovingAverages, make_optimizer

OLD = Path(__file__).parents[1] / "old"
SEEDS = np.array([3, 4], np.int32)
CONTEXT = np.random.default_rng(0).integers(0, 256, (1, 2, 8, 8, 1), np.uint8)
# Another processor or thread count rounds differently.
CLOSE = {"atol": 1e-4, "rtol": 0}


@pytest.fixture(params=sorted(path.name for path in OLD.iterdir()))
def old(request):
    return OLD / request.param


def test_a_run_draws_the_futures_that_it_drew(old):
    _, model, step = runs.load_run(old / "run")
    futures = sample_videos(model, CONTEXT, 2, SEEDS[None]).numpy()
    assert step == 2
    np.testing.assert_allclose(futures, np.load(old / "futures.npy"), **CLOSE)


def test_a_run_resumes(old, tmp_path):
    shutil.copytree(old / "run", tmp_path / "run")
    config, resumes = runs.resolve({"train.run_dir": str(tmp_path / "run"), "train.steps": 3})
    folder, (_, model, _) = runs.RunFolder(config.train.run_dir), runs.load_run(tmp_path / "run")
    optimizer = make_optimizer(config.train, config.data.batch_size)
    optimizer.build(model.trainable_variables)
    averages = MovingAverages(model, config.train.average_decay)
    checkpoints = Checkpoints(folder, model, optimizer, averages)
    assert resumes and checkpoints.restore().name == "ckpt-2"
    assert checkpoints.step == 2 and checkpoints.videos == 4
    assert int(optimizer.iterations) == 2


def test_an_export_draws_the_futures_that_it_drew(old, tmp_path):
    with zipfile.ZipFile(old / "export.zip") as archive:
        archive.extractall(tmp_path)
    futures = samplers.of_export(tmp_path).sample(np.repeat(CONTEXT, 2, axis=0), SEEDS)
    np.testing.assert_allclose(
        futures / 255.0, np.load(old / "futures.npy")[0], atol=0.5 / 255 + 1e-4, rtol=0
    )
