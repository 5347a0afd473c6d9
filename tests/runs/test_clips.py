"""Test videos that come with a preset."""

import dataclasses

import numpy as np
import pytest

from tfvrnn import files, presets
from tfvrnn.config import Config, DataConfig, ModelConfig, UserError
from tfvrnn.data import first_videos
from tfvrnn.runs import RunFolder, example_clips

MODEL = ModelConfig(image_size=8, channels=1, context_frames=2)


@pytest.fixture
def preset(tmp_path, rng):
    """Make a folder with two clips of five frames, whose dataset is nowhere."""
    frames = rng.integers(0, 256, (2, 5, 8, 8, 1), np.uint8)
    files.write_arrays(tmp_path / "clips.npz", {"frames": frames}, compressed=True)
    return tmp_path, frames, Config(model=MODEL, data=DataConfig("bair", str(tmp_path)))


@pytest.mark.parametrize("count,horizon", [(2, 3), (1, 2)])
def test_the_clips_of_a_preset_need_no_dataset(preset, count, horizon):
    folder, frames, config = preset
    found = example_clips(folder, config, count, horizon)
    np.testing.assert_array_equal(found, frames[:count, : 2 + horizon])


@pytest.mark.parametrize("count,horizon", [(3, 3), (2, 4)], ids=["too few", "too short"])
def test_beyond_them_the_dataset_is_read(preset, count, horizon):
    folder, _, config = preset
    allowed = "the clips of the preset allow 2 contexts and a horizon of 3"
    with pytest.raises(UserError, match=f"{allowed}, not {count} and {horizon}; .*bair"):
        example_clips(folder, config, count, horizon)
    digits = Config(model=MODEL, data=DataConfig("smmnist", horizon=horizon))
    expected = first_videos(digits.data, MODEL, "test", count)
    np.testing.assert_array_equal(example_clips(folder, digits, count, horizon), expected)


def test_a_preset_of_a_prepared_dataset_has_clips_for_twice_its_horizon():
    for name in presets.NAMES:
        config = RunFolder(presets.FOLDER / name).read_config()
        clips = presets.read_clips(presets.FOLDER / name)
        if config.data.dataset != "smmnist":
            assert clips.dtype == np.uint8 and clips.shape[2:] == config.model.image_shape
            assert len(clips) >= 4
            assert clips.shape[1] >= config.model.context_frames + 2 * config.data.horizon


def test_presets_are_small():
    sizes = [sum(f.stat().st_size for f in (presets.FOLDER / n).iterdir()) for n in presets.NAMES]
    assert max(sizes) <= 6e6 and sum(sizes) <= 20e6


@pytest.mark.parametrize(
    "arrays",
    [{"other": np.zeros(1)}, {"frames": np.zeros((2, 5, 8, 8, 1))}, {"frames": np.uint8([1])}],
)
def test_a_file_without_clips_is_one_line(arrays, tmp_path):
    files.write_arrays(tmp_path / "clips.npz", arrays)
    with pytest.raises(UserError, match="holds no videos: "):
        presets.read_clips(tmp_path)
    (tmp_path / "clips.npz").write_bytes(b"torn")
    with pytest.raises(UserError, match="holds no videos: "):
        presets.read_clips(tmp_path)


def test_clips_of_an_earlier_preset_do_not_stay(preset):
    presets.write(preset[0], {}, [np.zeros(1)])
    assert len(presets.read_clips(preset[0])) == 0


def test_clips_that_do_not_fit_the_model_are_refused(preset):
    folder, _, config = preset
    other = dataclasses.replace(config, model=dataclasses.replace(MODEL, image_size=16))
    with pytest.raises(UserError, match=r"frames of \(16, 16, 1\). Received: \(8, 8, 1\)"):
        example_clips(folder, other, 1, 2)
