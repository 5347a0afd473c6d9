import tarfile

import numpy as np
import pytest
import tensorflow as tf
from dataset_tools import all_of

from tfvrnn.config import DataConfig, ModelConfig, UserError
from tfvrnn.data import bair, make_dataset
from tfvrnn.data.tfrecord_writer import Skipped


def original_records(path, videos):
    """Write records in BAIR's own layout: 30 frames, two cameras, position and action."""
    path.parent.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number in videos:
            feature = {}
            for t in range(30):
                image = np.full((64, 64, 3), number + t, np.uint8).tobytes()
                for camera in ("image_main", "image_aux1"):
                    raw = image if camera == "image_main" else bytes(12288)
                    feature[f"{t}/{camera}/encoded"] = tf.train.Feature(
                        bytes_list=tf.train.BytesList(value=[raw])
                    )
                for name, size in (("endeffector_pos", 3), ("action", 4)):
                    floats = tf.train.FloatList(value=[0.0] * size)
                    feature[f"{t}/{name}"] = tf.train.Feature(float_list=floats)
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "tar"])
def test_bair_from_its_original_records(tmp_path, packed):
    unpacked = tmp_path / "un*packed? [1] {x} ü"  # TFDS and TensorFlow take names for patterns
    original_records(unpacked / "softmotion30_44k" / "train" / "a.tfrecords", range(0, 160, 8))
    original_records(unpacked / "softmotion30_44k" / "test" / "b.tfrecords", [200, 210])
    source = unpacked
    if packed:
        source = tmp_path / "bair_robot_pushing_dataset_v0.tar"
        with tarfile.open(source, "w") as archive:
            archive.add(unpacked / "softmotion30_44k", "softmotion30_44k")
    folder = tmp_path / "data [2] #%"
    prepared = bair.prepare(folder, source)
    assert prepared.videos == {"train": 20, "test": 2}
    assert prepared.skipped[0] == Skipped("train", f"{43264 - 20} of 43264 videos")
    data = DataConfig("bair", str(folder), horizon=10, batch_size=1)
    test = all_of(make_dataset(data, ModelConfig(), "test"))
    assert test.shape == (2, 12, 64, 64, 3)
    assert sorted(test[:, 0, 0, 0, 0]) == [200, 210]
    train = make_dataset(data, ModelConfig(), "train").unbatch().take(120)
    firsts = [clip[0, 0, 0, 0] for clip in train.as_numpy_iterator()]
    assert {first % 8 for first in firsts} == set(range(8)) and len(set(firsts)) > 40
    assert len(all_of(make_dataset(data, ModelConfig(), "validation"))) == 1


def junk_records(folder):
    for split in ("train", "test"):
        path = folder / "softmotion30_44k" / split / "a.tfrecords"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"junk" * 99)
    return folder


def text_as_tar(folder):
    (folder / "text.tar").write_text("not a tar")
    return folder / "text.tar"


def other_tar(folder):
    with tarfile.open(folder / "other.tar", "w") as archive:
        archive.add(__file__, "test.py")
    return folder / "other.tar"


def no_test(folder):
    original_records(folder / "softmotion30_44k" / "train" / "a.tfrecords", [0])
    return folder


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder, "holds no softmotion30_44k/train"),
        (lambda folder: folder / "none.tar", r"no .*none\.tar"),
        (text_as_tar, "bair cannot be prepared from .*text.tar"),
        (other_tar, "holds no softmotion30_44k/train"),
        (no_test, "holds no softmotion30_44k/test"),
        (junk_records, "bair cannot be prepared from .*DataLoss"),
    ],
)
def test_what_is_not_bair_is_refused(tmp_path, make, message):
    (tmp_path / "source").mkdir()
    with pytest.raises(UserError, match=message):
        bair.prepare(tmp_path / "data", make(tmp_path / "source"))
    assert not (tmp_path / "data" / bair.NAME / bair.VERSION).exists()


def test_bair_into_a_file_is_refused(tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(UserError, match="bair cannot be prepared"):
        bair.prepare(tmp_path / "data", tmp_path)
