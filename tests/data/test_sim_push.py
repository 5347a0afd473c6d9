import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from dataset_tools import all_of

from tfvrnn.config import SIM_PUSH_SCENES, DataConfig, ModelConfig, UserError
from tfvrnn.data import make_dataset, sim_push

ROOT = Path(__file__).parents[2]
SAMPLE = Path(__file__).parent / "prepared"
HAS_SIMULATOR = importlib.util.find_spec("gymnasium_robotics") is not None


def videos(folder):
    records = tfds.builder_from_directory(folder).as_dataset("train").as_numpy_iterator()
    return np.stack([record["video"] for record in records])


def test_the_sample_is_read():
    data = DataConfig("sim_push", str(SAMPLE), horizon=10, batch_size=8)
    batch = next(iter(make_dataset(data, ModelConfig(), "train"))).numpy()
    assert batch.shape == (8, 12, 64, 64, 3) and batch.std() > 30
    moving = np.abs(np.diff(batch.astype(int), axis=1)).max(axis=(2, 3, 4))
    assert (moving.max(axis=1) > 50).all()  # something moves in every clip


def test_the_fixed_scene_is_a_dataset_of_its_own():
    """Its table and light are the same in every episode, those of the varied one are not."""
    borders = {}
    for name in ("sim_push", "sim_push_fixed"):
        data = DataConfig(name, str(SAMPLE), horizon=1, batch_size=6)
        videos = all_of(make_dataset(data, ModelConfig(context_frames=1), "test"))
        borders[name] = videos[:, 0, -1].astype(int)
    assert np.ptp(borders["sim_push"], axis=0).mean() > 20
    assert np.ptp(borders["sim_push_fixed"], axis=0).max() == 0


def test_what_is_prepared_is_not_simulated_again(tmp_path):
    """Earlier datasets keep their plan, and no scene is taken for another."""
    prepared = sim_push.prepare(SAMPLE, episodes=64)
    assert prepared.videos == {"train": 64, "test": 6}
    assert prepared.folder.parent.name == "sim_push_64"
    prepared = sim_push.prepare(SAMPLE, episodes=8, test_episodes=6, scene="fixed")
    assert prepared.videos == {"train": 8, "test": 6}
    assert prepared.folder.parent.name == "sim_push_fixed_64"


def test_actions_are_stored():
    builder = tfds.builder_from_directory(SAMPLE / "sim_push_64" / "1.0.0")
    actions = np.stack([r["actions"] for r in builder.as_dataset("train").as_numpy_iterator()])
    assert actions.shape == (64, 30, 4) and np.abs(actions).max() <= 1
    assert actions[..., :2].std() > 0.3


@pytest.mark.thorough
@pytest.mark.skipif(not HAS_SIMULATOR, reason="the extra sim is not installed")
def test_episodes_are_those_of_their_seed(tmp_path):
    stored = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        prepared = sim_push.prepare(tmp_path / name, size=32, episodes=2, seed=seed)
        assert prepared.videos == {"train": 2, "test": 1}
        stored.append(videos(prepared.folder))
    np.testing.assert_array_equal(stored[0], stored[1])
    assert (stored[0] != stored[2]).any() and (stored[0][0] != stored[0][1]).any()


@pytest.mark.skipif(not HAS_SIMULATOR, reason="the extra sim is not installed")
@pytest.mark.parametrize("scene", ["varied", "fixed"])
def test_the_sample_is_what_is_simulated_today(scene, tmp_path):
    prepared = sim_push.prepare(tmp_path, episodes=2, scene=scene, workers=1)
    sample = videos(SAMPLE / f"{SIM_PUSH_SCENES[scene]}_64" / "1.0.0")[:2]
    # Another graphics driver may round differently.
    assert np.abs(videos(prepared.folder).astype(int) - sample).mean() < 0.5


def test_without_the_simulator_it_is_one_line(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="in colour"):
        sim_push.prepare(tmp_path, channels=1)
    monkeypatch.setenv("MUJOCO_GL", "nothing")
    with pytest.raises(UserError, match="cannot be simulated"):
        sim_push.prepare(tmp_path, episodes=1)
    assert not list(tmp_path.rglob("dataset_info.json"))


@pytest.mark.skipif(not HAS_SIMULATOR, reason="the extra sim is not installed")
def test_objects_of_another_size_are_what_mujoco_would_compile():
    """Bounds and inertia follow the size. Otherwise objects pass into each other unnoticed."""
    program = """
import numpy as np
from tfvrnn.simulators import sim_push
scene = sim_push.Scene(32)
import mujoco

def tensor(model, body):
    turn = np.zeros(9)
    mujoco.mju_quat2Mat(turn, model.body_iquat[body])
    turn = turn.reshape(3, 3)
    return turn @ np.diag(model.body_inertia[body]) @ turn.T

for k, shape in enumerate(sim_push.SHAPES):
    ours, geom = scene.model, scene.model.geom(f"object{k}").id
    scene._resize(geom, shape, 0.04, 0.03)
    size = "0.04 0.03" if shape == "cylinder" else "0.04 0.03 0.04"
    theirs = mujoco.MjModel.from_xml_string(
        f'<mujoco><worldbody><body><freejoint/><geom type="{shape}" size="{size}" mass="0.5"/>'
        '</body></worldbody></mujoco>'
    )
    body = ours.geom_bodyid[geom]
    np.testing.assert_allclose(ours.geom_rbound[geom], theirs.geom_rbound[0])
    np.testing.assert_allclose(ours.geom_aabb[geom], theirs.geom_aabb[0])
    np.testing.assert_allclose(
        ours.bvh_aabb[ours.body_bvhadr[body]], theirs.bvh_aabb[theirs.body_bvhadr[1]]
    )
    np.testing.assert_allclose(tensor(ours, body), tensor(theirs, 1), atol=1e-12)
"""
    # Not in a process with TensorFlow: see tfvrnn/simulators.
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
