import zipfile

import numpy as np
import pytest
from dataset_tools import all_of
from PIL import Image

from tfvrnn.config import DataConfig, ModelConfig, UserError
from tfvrnn.data import cityscapes, make_dataset


def picture(value):
    """Make 2048x1024 of one grey, with white in the 512 pixels dropped on either side."""
    image = np.full((1024, 2048, 3), value, np.uint8)
    image[:, :512] = image[:, -512:] = 255
    return Image.fromarray(image)


def write(root, split, city, sequence, numbers, size=None):
    folder = root / "leftImg8bit_sequence" / split / city
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        image = picture(number % 200)
        path = folder / f"{city}_{sequence:06}_{number:06}_leftImg8bit.png"
        (image.resize(size) if size else image).save(path, compress_level=1)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    root = tmp_path_factory.mktemp("cityscapes")
    write(root, "train", "aachen", 0, range(30))
    write(root, "train", "hanover", 0, range(100, 160))  # two snippets of one sequence in a row
    write(root, "train", "ulm", 3, range(29))
    write(root, "val", "lindau", 1, range(30))
    write(root, "test", "bonn", 2, range(30))
    write(root, "test", "bonn", 5, range(30), size=(64, 32))
    (root / "README").write_text("not a picture")
    return root


@pytest.mark.thorough
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_snippets_of_the_official_layout(archive, tmp_path, packed):
    source = archive
    if packed:
        source = tmp_path / "leftImg8bit_sequence_trainvaltest.zip"
        with zipfile.ZipFile(source, "w") as file:
            for path in archive.rglob("*.png"):
                file.write(path, path.relative_to(archive))
    prepared = cityscapes.prepare(source, tmp_path / "data", 64)
    assert prepared.videos == {"train": 3, "validation": 1, "test": 1}
    reasons = dict(prepared.skipped)
    assert reasons["ulm_000003_000000"] == "29 frames instead of 30"
    assert "is 64x32" in reasons["bonn_000005_000000"] and len(reasons) == 2
    data = DataConfig("cityscapes", str(tmp_path / "data"), horizon=28, batch_size=1)
    test = all_of(make_dataset(data, ModelConfig(), "test"))
    assert test.shape == (1, 30, 64, 64, 3)
    # The white borders are gone, to the last column.
    np.testing.assert_array_equal(test[0], np.broadcast_to(test[0, :, :1, :1], test[0].shape))
    np.testing.assert_array_equal(test[0, :, 0, 0, 0], np.arange(30))
    train = make_dataset(data, ModelConfig(), "train").unbatch().take(3).as_numpy_iterator()
    assert sorted(clip[0, 0, 0, 0] for clip in train) == [0, 100, 130]


@pytest.mark.thorough
def test_the_large_size(archive, tmp_path):
    cityscapes.prepare(archive, tmp_path, 128)
    data = DataConfig("cityscapes", str(tmp_path), horizon=8, batch_size=1)
    model = ModelConfig(image_size=128, width=8, groups=2)
    assert next(iter(make_dataset(data, model, "validation"))).shape == (1, 10, 128, 128, 3)


def test_what_is_not_cityscapes_is_refused(tmp_path):
    (tmp_path / "picture.png").write_bytes(b"x")
    with pytest.raises(UserError, match="holds no"):
        cityscapes.prepare(tmp_path, tmp_path / "data")
    with pytest.raises(UserError, match="neither a folder nor a whole zip"):
        cityscapes.prepare(tmp_path / "picture.png", tmp_path / "data")
    with pytest.raises(UserError, match="cannot be read"):
        cityscapes.prepare(tmp_path / "none.zip", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_damaged_picture_leaves_its_snippet_out(archive, tmp_path):
    source = tmp_path / "archive.zip"
    with zipfile.ZipFile(source, "w") as file:
        for path in (archive / "leftImg8bit_sequence").rglob("*.png"):
            content = path.read_bytes()
            damaged = path.name == "hanover_000000_000104_leftImg8bit.png"
            file.writestr(
                str(path.relative_to(archive)), content[: len(content) // 2] if damaged else content
            )
    prepared = cityscapes.prepare(source, tmp_path / "data", 64)
    assert prepared.videos["train"] == 2
    assert "cannot be read" in dict(prepared.skipped)["hanover_000000_000100"]


def names_of(numbers, folder="leftImg8bit_sequence"):
    return [f"{folder}/train/ulm/ulm_000000_{n:06}_leftImg8bit.png" for n in numbers]


def test_stills_beside_the_sequences_are_no_snippets():
    sequence = names_of(range(30))
    assert cityscapes.find_snippets(sequence + names_of([19], "leftImg8bit")) == [sequence]
    assert cityscapes.find_snippets(names_of([19], "archive/leftImg8bit")) == []


def test_a_snippet_is_not_cut_out_of_what_a_gap_left():
    names = names_of([*range(100, 110), *range(111, 160)])
    assert [len(found) for found in cityscapes.find_snippets(names)] == [10, 49]


def test_a_damaged_member_of_the_archive_is_left_out(archive, tmp_path):
    source = tmp_path / "archive.zip"
    with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for path in archive.rglob("*.png"):
            file.write(path, path.relative_to(archive))
        info = file.getinfo(
            "leftImg8bit_sequence/train/aachen/aachen_000000_000007_leftImg8bit.png"
        )
    content = bytearray(source.read_bytes())
    start = info.header_offset + 30 + len(info.filename)
    content[start : start + 60] = b"\xff" * 60
    source.write_bytes(content)
    prepared = cityscapes.prepare(source, tmp_path / "data", 64)
    assert prepared.videos["train"] == 2
    assert "cannot be read" in dict(prepared.skipped)["aachen_000000_000000"]
