import dataclasses
import gzip
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from marks import thorough

from tfvrnn.config import DataConfig, ModelConfig, UserError
from tfvrnn.data import make_dataset, read, tfrecord_reader, tfrecord_writer
from tfvrnn.data.tfrecord_writer import Shard, Skipped

MODEL = ModelConfig(image_size=8, channels=1, width=8, groups=2, latent_resolutions=(1,))
VIDEOS, LENGTH = 23, 7


def video(number):
    """Fill frame t of video v with 10 v + t."""
    return np.broadcast_to(
        np.uint8(10 * number + np.arange(LENGTH))[:, None, None, None], (LENGTH, 8, 8, 1)
    )


def write(folder, videos=VIDEOS, per_shard=5, splits=("train",)):
    shards = [
        Shard(split, list(range(k, min(k + per_shard, videos))))
        for split in splits
        for k in range(0, videos, per_shard)
    ]
    features = {"video": tfds.features.Video(shape=(LENGTH, 8, 8, 1), encoding_format="png")}
    return tfrecord_writer.write_dataset(
        folder, features, shards, lambda work: ({"video": video(n)} for n in work), {}, "numbers"
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    # The name has patterns of TensorFlow and TFDS, and is not UTF-8.
    root = tmp_path_factory.mktemp("data") / os.fsdecode(b"\xff [1]*?{SPLIT}")
    write(root / "video_folder_8_grey", splits=("train", "test"))
    return DataConfig("video_folder", str(root), horizon=2, batch_size=4, seed=3)


def clips(data, split="train", start=0, count=30, **options):
    """Read (number of the video, first frame) of every clip; check that its frames follow."""
    dataset = make_dataset(dataclasses.replace(data, **options), MODEL, split, start)
    found = []
    for clip in dataset.unbatch().take(count).as_numpy_iterator():
        values = clip[:, 0, 0, 0].astype(int)
        assert (np.diff(values) == options.get("stride", data.stride)).all()
        assert (clip == clip[:, :1, :1]).all()
        found.append(divmod(values[0], 10))
    return found


def test_every_epoch_has_every_training_video_once_and_in_another_order(data):
    there = 20  # the last file is for validation
    found = clips(data, count=2 * there)
    epochs = [[video for video, _ in found[:there]], [video for video, _ in found[there:]]]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(there))
    assert epochs[0] != epochs[1] != list(range(there))
    validation = clips(data, "validation")
    assert validation == [(20, 0), (21, 0), (22, 0)]
    assert clips(data, "test") == [(n, 0) for n in range(VIDEOS)]


def test_any_start_is_drawn_and_no_other(data):
    starts = {first for _, first in clips(data, count=200)}
    assert starts == set(range(LENGTH - 4 + 1))
    assert {first for _, first in clips(data, count=100, stride=2)} == {0}


@pytest.mark.parametrize("starts", [(5, 21), thorough((0, 1, 20, 50, 1000))])
def test_continuing_in_the_middle_is_the_same(data, monkeypatch, starts):
    monkeypatch.setattr(tfrecord_reader, "BLOCK", 8)
    whole = clips(data, count=62)
    for start in starts:
        found = clips(data, start=start, count=12)
        assert len(found) == 12 and (start == 1000 or found == whole[start : start + 12]), start
        assert found[3:] == clips(data, start=start + 3, count=9), start
    assert clips(data, "test", start=5) == clips(data, "test")[5:]


def test_the_number_of_workers_does_not_matter_and_the_seed_does(data):
    one = clips(data, workers=1)
    assert clips(data, workers=5) == one
    assert clips(data, seed=4) != one


@pytest.mark.parametrize("parts", [1, 2])
def test_parts_of_workers_are_all_of_a_batch_without_overlap(data, parts):
    data = dataclasses.replace(data, batch_size=12)
    whole = make_dataset(data, MODEL, "train").take(3)
    own = [make_dataset(data, MODEL, "train", shard=(k, 3), parts=parts) for k in range(3)]
    own = [list(dataset.take(3 * parts)) for dataset in own]
    for number, batch in enumerate(whole):
        joined = [part for worker in own for part in worker[number * parts : (number + 1) * parts]]
        np.testing.assert_array_equal(tf.concat(joined, 0), batch)


def test_a_batch_that_does_not_divide_is_refused(data):
    with pytest.raises(UserError, match=r"must divide into 6 equal parts\. Received: 4"):
        make_dataset(data, MODEL, "train", shard=(0, 3), parts=2)


@pytest.fixture(scope="module")
def service():
    """Yield the address of a tf.data service with one worker."""
    servers = tf.data.experimental.service
    dispatcher = servers.DispatchServer()
    address = dispatcher.target.partition("://")[2]
    worker = servers.WorkerServer(servers.WorkerConfig(dispatcher_address=address))
    yield dispatcher.target
    del worker  # before its dispatcher; in the other order both wait


def test_a_service_of_one_worker_makes_the_same_videos(data, service):
    found = [make_dataset(x, MODEL, "train") for x in (data, with_service(data, service))]
    for here, there in zip(*(dataset.take(12) for dataset in found), strict=True):
        np.testing.assert_array_equal(here, there)


@pytest.mark.thorough
def test_a_trainer_of_several_is_served_its_own_part_in_order_also_when_started_again(
    data, service
):
    for _ in range(2):
        for worker in range(2):
            found = [
                make_dataset(x, MODEL, "train", start=6, shard=(worker, 2)).take(5)
                for x in (data, with_service(data, service))
            ]
            for here, there in zip(*found, strict=True):
                np.testing.assert_array_equal(here, there)


def with_service(data, service):
    return dataclasses.replace(data, service=service)


def test_augmentation_is_a_function_of_seed_and_number(data):
    on = {"flip": True, "color_jitter": 0.5, "crop": 0.5}
    first = list(make_dataset(dataclasses.replace(data, **on), MODEL, "train").take(3))
    again = list(
        make_dataset(dataclasses.replace(data, **on, workers=4), MODEL, "train", 4).take(2)
    )
    np.testing.assert_array_equal(first[1], again[0])
    plain = next(iter(make_dataset(data, MODEL, "train")))
    assert not np.array_equal(first[0], plain)
    on_test = next(iter(make_dataset(dataclasses.replace(data, **on), MODEL, "test")))
    np.testing.assert_array_equal(on_test, next(iter(make_dataset(data, MODEL, "test"))))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizon": 6}, "a clip of 8 frames at stride 1 needs 8"),
        ({"stride": 3}, "at stride 3 needs 10"),
        ({"data_dir": "none"}, "no dataset in .*prepare_data.py --dataset=video_folder"),
        ({"dataset": "bair"}, "`model.channels` must be 3 for bair, .*Received: 1"),
        ({"dataset": "sim_push"}, "`model.channels` must be 3 for sim_push, "),
        ({"dataset": "pusht"}, "`model.channels` must be 3 for pusht, "),
        ({"dataset": "cityscapes"}, "no dataset in .*--dataset=cityscapes"),
    ],
)
def test_what_does_not_fit_is_refused(data, options, message):
    with pytest.raises(UserError, match=message):
        make_dataset(dataclasses.replace(data, **options), MODEL, "train")


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("bair", "no dataset in .*--dataset=bair"),
        ("sim_push", "no dataset in .*--dataset=sim_push '--data_dir"),
        (
            "sim_push_fixed",
            "no dataset in .*sim_push_fixed_8/.*--dataset=sim_push --scene=fixed '--data_dir",
        ),
        ("pusht", "no dataset in .*pusht_8/.*--dataset=pusht"),
    ],
)
def test_the_command_that_prepares_a_dataset_is_named(data, dataset, message):
    model = dataclasses.replace(MODEL, channels=3)
    with pytest.raises(UserError, match=message):
        make_dataset(dataclasses.replace(data, dataset=dataset), model, "train")


def test_frames_of_another_size_are_refused(data, tmp_path):
    builder = tfds.builder_from_directory(f"{data.data_dir}/video_folder_8_grey/1.0.0")
    model = dataclasses.replace(MODEL, channels=3)
    with pytest.raises(UserError, match="are 8x8x1; the model's are 8x8x3"):
        tfrecord_reader.make_source(builder, ("video", LENGTH, (8, 8, 1)), data, model, "train", 0)


@pytest.mark.parametrize("damage", [lambda c: c[:-20], lambda c: b"", gzip.compress])
def test_a_damaged_file_is_named_in_one_line(tmp_path, damage):
    prepared = write(tmp_path / "video_folder_8_grey", splits=("train", "test"))
    path = next(prepared.folder.glob("*-test.tfrecord-00001*"))
    path.write_bytes(damage(path.read_bytes()))
    data = DataConfig("video_folder", str(tmp_path), horizon=2, batch_size=4)
    with pytest.raises(UserError) as caught:
        list(read(make_dataset(data, MODEL, "test"), data, MODEL))
    message = str(caught.value)
    assert message.startswith(f"dataset video_folder: {path} cannot be read: ")
    assert "{{" not in message and "[Op" not in message and "\n" not in message


def test_a_folder_without_metadata_is_not_taken_for_a_dataset(tmp_path):
    prepared = write(tmp_path / "video_folder_8_grey", splits=("train", "test"))
    (prepared.folder / "dataset_info.json").unlink()
    data = DataConfig("video_folder", str(tmp_path), horizon=2)
    with pytest.raises(UserError, match="is not whole"):
        make_dataset(data, MODEL, "train")


# Writing


def test_an_interrupted_preparation_continues(tmp_path):
    made, interrupt = [], True

    def make(work):
        for number in work:
            if interrupt and number == 7:
                raise KeyboardInterrupt
            made.append(number)
            yield {"video": video(number)}

    def start():
        features = {"video": tfds.features.Video(shape=(LENGTH, 8, 8, 1), encoding_format="png")}
        shards = [Shard("train", [k, k + 1, k + 2]) for k in range(0, 12, 3)]
        return tfrecord_writer.write_dataset(tmp_path / "x", features, shards, make, {}, "")

    with pytest.raises(KeyboardInterrupt):
        start()
    assert not (tmp_path / "x" / "1.0.0").exists()
    interrupt = False
    prepared = start()
    assert made == [0, 1, 2, 3, 4, 5, 6, 6, 7, 8, 9, 10, 11]
    assert prepared.videos == {"train": 12}
    dataset = tfds.builder_from_directory(prepared.folder).as_dataset("train")
    found = [record["video"][0, 0, 0, 0].numpy() // 10 for record in dataset]
    assert sorted(found) == list(range(12))
    assert start() == prepared and made.count(0) == 1


def test_what_was_left_out_is_reported_again_the_next_time(tmp_path):
    def start():
        features = {"video": tfds.features.Video(shape=(LENGTH, 8, 8, 1), encoding_format="png")}
        return tfrecord_writer.write_dataset(
            tmp_path / "x",
            features,
            [Shard("train", ["a", "b"])],
            lambda work: iter([{"video": video(0)}, Skipped("b", "is broken")]),
            {},
            "",
        )

    assert start().skipped == start().skipped == [Skipped("b", "is broken")]


def test_other_options_two_at_once_and_nothing_are_refused(tmp_path):
    features = {"video": tfds.features.Video(shape=(LENGTH, 8, 8, 1), encoding_format="png")}

    def start(options=None, make=lambda work: iter([{"video": video(0)}])):
        return tfrecord_writer.write_dataset(
            tmp_path / "x", features, [Shard("train", [0])], make, options or {}, ""
        )

    def another(work):
        start()
        yield {"video": video(0)}

    with pytest.raises(UserError, match="is preparing"):
        start(make=another)
    with pytest.raises(UserError, match=r"no video for train \(a: short\)"):
        start(make=lambda work: iter([Skipped("a", "short")]))
    shutil.rmtree(tmp_path / "x")
    start()
    with pytest.raises(UserError, match="with other options"):
        start({"side": 9})


def test_no_space_left_is_one_line_and_nothing_whole(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tfrecord_writer, "_write_shard", full)
    with pytest.raises(UserError, match="no space left"):
        write(tmp_path / "x")
    assert not (tmp_path / "x" / "1.0.0").exists()
    monkeypatch.undo()
    assert write(tmp_path / "x").videos == {"train": VIDEOS}


def test_missing_records_are_reported(tmp_path):
    write(tmp_path / "video_folder_8_grey", splits=("train", "test"))
    data = DataConfig("video_folder", str(tmp_path), horizon=2, batch_size=4)
    path = next(tmp_path.rglob("*test.tfrecord-00001*"))
    kept = [record.numpy() for record in tf.data.TFRecordDataset(str(path))][:2]
    for left in (kept, []):
        with tf.io.TFRecordWriter(str(path)) as writer:
            for record in left:
                writer.write(record)
        with pytest.raises(UserError, match="expected to contain 5 elements"):
            list(read(make_dataset(data, MODEL, "test"), data, MODEL))


def test_the_number_of_videos_is_known_and_none_are_left_at_the_end(data):
    found = make_dataset(dataclasses.replace(data, batch_size=1), MODEL, "test")
    assert int(found.cardinality()) == VIDEOS
    assert list(make_dataset(data, MODEL, "test", start=VIDEOS)) == []


def interrupted(*_):
    raise KeyboardInterrupt


def test_an_interruption_at_the_very_end_costs_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(tfrecord_writer.Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "x")
    monkeypatch.undo()
    monkeypatch.setattr(tfrecord_writer, "_write_shard", interrupted)
    assert write(tmp_path / "x").videos == {"train": VIDEOS}


@pytest.fixture
def unfinished(tmp_path, monkeypatch):
    """Interrupt a preparation after its last file, and return its folder."""
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(tfrecord_writer, "_finish", interrupted)
        write(tmp_path / "x")
    return tmp_path / "x" / ".incomplete-1.0.0"


@pytest.mark.parametrize("report", ["{", "[]", '{"count": 1}'])
def test_what_is_unfinished_is_not_thrown_away(tmp_path, unfinished, report):
    with pytest.raises(UserError, match=r"unfinished preparation .* or delete it"):
        write(tmp_path / "x", videos=10)
    next(unfinished.glob(".*.tfrecord*.json")).write_text(report)
    assert write(tmp_path / "x").videos == {"train": VIDEOS}


def test_a_damaged_plan_of_an_unfinished_preparation_is_another(tmp_path, unfinished):
    (unfinished / "plan.json").write_text("[]")
    with pytest.raises(UserError, match=r"unfinished preparation .* or delete it"):
        write(tmp_path / "x")


@pytest.mark.parametrize("content", [None, "", "[]", '{"plan": 1}'])
def test_a_damaged_plan_is_one_line(tmp_path, content):
    write(tmp_path / "x")
    plan = tmp_path / "x" / "1.0.0" / "plan.json"
    plan.unlink() if content is None else plan.write_text(content)
    with pytest.raises(UserError, match="is not whole"):
        write(tmp_path / "x")


@pytest.mark.parametrize("error", [tf.errors.PermissionDeniedError, tf.errors.UnknownError])
def test_what_the_disk_refuses_is_one_line(error):
    def batches():
        raise error(None, None, "records.tfrecord\nno access")
        yield

    with pytest.raises(UserError, match=r"smmnist cannot be read: records\.tfrecord no access$"):
        list(read(batches(), DataConfig()))
