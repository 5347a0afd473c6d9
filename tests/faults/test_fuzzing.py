"""Mutated flags, flagfiles, run folders, checkpoints, videos, records raise only declared errors.

    python -m pytest tests/faults/test_fuzzing.py -m '' -n 0 --hypothesis-profile=long \
        --hypothesis-show-statistics

tries many more of each. tests/serving/test_refusals.py does the same for requests to the server.
"""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from tfvrnn import config_flags, media
from tfvrnn.config import Config, DataConfig, ModelConfig, UserError
from tfvrnn.data import make_dataset, read
from tfvrnn.data.tfrecord_writer import Shard, write_dataset
from tfvrnn.metrics import weights
from tfvrnn.runs import RunFolder, load_run

pytestmark = pytest.mark.thorough

NAMES = [name for name, _, _ in config_flags.options(Config)]
VALUES = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.floats().map(str),
    st.sampled_from(
        ["", "none", "true", "1,2", "(1,)", "1,,2", "vrnn", "svg", "~", "/", "grpc://"]
    ),
    st.text(max_size=20),
)
FLAGS = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["--", "-", "--no", ""]),
    st.one_of(st.sampled_from(NAMES), st.text(max_size=12)),
    st.sampled_from(["=", " ", ""]),
    VALUES,
)
# (kind of mutation, its place as a share of the whole, bytes)
MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["overwrite", "insert", "remove", "cut"]),
        st.floats(0, 1),
        st.binary(min_size=1, max_size=8),
    ),
    min_size=1,
    max_size=4,
)


def mutated(content: bytes, mutations) -> bytes:
    for kind, part, other in mutations:
        place = int(part * len(content))
        before, after = content[:place], content[place:]
        content = {
            "overwrite": before + other + after[len(other) :],
            "insert": before + other + after,
            "remove": before + after[len(other) :],
            "cut": before,
        }[kind]
    return content


@given(st.lists(FLAGS, max_size=6))
@example(["--help"])
@example(["--flagfile=/", "--flagfile"])
def test_flags(arguments):
    try:
        config_flags.replace(Config(), config_flags.parse_changes(arguments, Config))
    except (UserError, config_flags.FlagError) as error:
        assert str(error)


@given(content=st.one_of(st.binary(max_size=80), st.lists(FLAGS).map("\n".join).map(str.encode)))
def test_flagfiles(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzzed.flags"
    path.write_bytes(content)
    try:
        config_flags.from_flagfile(path, Config())
    except (UserError, config_flags.FlagError) as error:
        assert str(error)


@pytest.fixture(scope="module")
def run(small_run, tmp_path_factory):
    """Copy a run folder, so that its files may be overwritten."""
    return shutil.copytree(small_run, tmp_path_factory.mktemp("fuzzed") / "run")


@given(kind=st.sampled_from(["index", "data-00000-of-00001"]), mutations=MUTATIONS)
def test_checkpoints(prednet_run, kind, mutations):
    [path] = (prednet_run / "checkpoints").glob(f"ckpt-*.{kind}")
    whole = path.read_bytes()
    try:
        path.write_bytes(mutated(whole, mutations))
        _, model, _ = load_run(prednet_run)
        assert all(np.isfinite(weight).all() for weight in model.get_weights())
    except UserError as error:
        assert "no whole checkpoint" in str(error)
    finally:
        path.write_bytes(whole)


@given(MUTATIONS)
def test_configurations_of_run_folders(run, mutations):
    path = run / "config.flags"
    whole = path.read_bytes()
    try:
        path.write_bytes(mutated(whole, mutations))
        RunFolder(run).read_config()
    except (UserError, config_flags.FlagError) as error:
        assert str(error)
    finally:
        path.write_bytes(whole)


@given(
    st.fixed_dictionaries(
        {
            "family": st.sampled_from(["vrnn", "prednet", "copy_last"]),
            "image_size": st.sampled_from([8, 16]),
            "channels": st.sampled_from([1, 3]),
            "width": st.sampled_from([8, 16]),
            "latent_resolutions": st.sampled_from([(1,), (1, 4)]),
        }
    )
)
def test_checkpoints_of_other_models(run, options):
    path = run / "config.flags"
    whole, stored = path.read_bytes(), RunFolder(run).read_config()
    model = ModelConfig(groups=2, prednet_stacks=(2, 2, 2), **options)
    try:
        RunFolder(run).write_config(dataclasses.replace(stored, model=model))
        load_run(run)
        assert dataclasses.replace(model, prednet_stacks=(48, 96, 192)) == stored.model
    except UserError as error:
        assert "another model" in str(error)
    finally:
        path.write_bytes(whole)


@pytest.fixture(scope="module", params=["mp4", "webm", "gif", "png"])
def video(request, tmp_path_factory):
    """Return (path of a video that may be overwritten, its content)."""
    frames = np.random.default_rng(0).integers(0, 255, (5, 16, 16, 3)).astype(np.uint8)
    path = tmp_path_factory.mktemp("videos") / f"video.{request.param}"
    if request.param == "png":
        path = path.with_suffix("")
        path.mkdir()
        Image.fromarray(frames[0]).save(path / "0.png")
        return path, path / "0.png"
    media.write_video(path, frames, 5)
    return path, path


@given(mutations=MUTATIONS)
def test_videos(video, mutations):
    path, file = video
    whole = file.read_bytes()
    try:
        file.write_bytes(mutated(whole, mutations))
        assert media.read_video(path).dtype == np.uint8
    except media.VideoError as error:
        assert str(error)
    finally:
        file.write_bytes(whole)


MODEL = ModelConfig(image_size=8, channels=1, width=8, groups=2, latent_resolutions=(1,))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Write a prepared dataset whose files may be overwritten."""
    root = tmp_path_factory.mktemp("data")
    features = {"video": tfds.features.Video(shape=(4, 8, 8, 1), encoding_format="png")}
    write_dataset(
        root / "video_folder_8_grey",
        features,
        [Shard("train", list(range(8))), Shard("test", [8, 9])],
        lambda work: ({"video": np.full((4, 8, 8, 1), n, np.uint8)} for n in work),
        {},
        "numbers",
    )
    return DataConfig("video_folder", str(root), horizon=2, batch_size=2)


def read_all(data):
    for batch in read(make_dataset(data, MODEL, "test"), data, MODEL):
        assert batch.shape[1:] == (4, 8, 8, 1)


@given(name=st.sampled_from(["dataset_info.json", "features.json", "test"]), mutations=MUTATIONS)
def test_datasets(dataset, name, mutations):
    [path] = Path(dataset.data_dir).rglob(f"*{name}*")
    whole = path.read_bytes()
    try:
        path.write_bytes(mutated(whole, mutations))
        read_all(dataset)
    except UserError as error:
        assert str(error)
    finally:
        path.write_bytes(whole)


@given(mutations=MUTATIONS)
def test_records_whose_checksums_are_right(dataset, mutations):
    """Another program may write whole records of nonsense."""
    [path] = Path(dataset.data_dir).rglob("*test.tfrecord*")
    whole = path.read_bytes()
    records = [r.numpy() for r in tf.data.TFRecordDataset(str(path))]
    try:
        with tf.io.TFRecordWriter(str(path)) as writer:
            for record in records:
                writer.write(mutated(record, mutations))
        read_all(dataset)
    except UserError as error:
        assert str(error)
    finally:
        path.write_bytes(whole)


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "weights.npz"
    np.savez(path, **{"a/kernel": np.ones((3, 3)), "a/bias": np.zeros(3)})
    return path


@given(mutations=MUTATIONS)
def test_weights_of_metrics(weights_file, mutations):
    whole = weights_file.read_bytes()
    try:
        weights_file.write_bytes(mutated(whole, mutations))
        weights.read(weights_file)
    except weights.WeightsUnavailable as error:
        assert str(error)
    finally:
        weights_file.write_bytes(whole)
