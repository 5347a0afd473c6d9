import io
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given
from hypothesis import strategies as st

from tfvrnn import files
from tfvrnn.config import UserError
from tfvrnn.files import locked, write_whole

HOLD = """
import pathlib, sys
from tfvrnn.files import locked
with locked(pathlib.Path(sys.argv[1]), "busy"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def owner(tmp_path):
    """Start another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_second_is_refused_and_learns_the_owner(owner, tmp_path):
    named = rf"process {owner.pid} on \S+ is training into x"
    with pytest.raises(UserError, match=named), locked(tmp_path / "lock", "training into x"):
        pass


def test_a_dead_owners_lock_is_taken_over(owner, tmp_path):
    owner.kill()
    owner.wait()
    with locked(tmp_path / "lock", "training"):
        assert (tmp_path / "lock").read_text().startswith(f"process {os.getpid()} on ")


def test_a_lock_is_free_again_afterwards(tmp_path):
    for _ in range(2):
        with locked(tmp_path / "lock", "training"):
            pass


def test_a_file_is_whole_or_as_it_was(tmp_path):
    path = tmp_path / "x"
    write_whole(path, "old")
    with pytest.raises(TypeError):
        write_whole(path, 7)
    assert path.read_text() == "old"
    write_whole(path, b"new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_may_be_as_long_as_there_are(tmp_path):
    for name in ("x" * 255, "ü" * 127):
        write_whole(tmp_path / name, name)
        assert (tmp_path / name).read_text() == name


def is_name(name: bytes) -> bool:
    return name not in (b".", b"..") and not {*b"/\0"} & {*name} and 0 < len(name) < 256


LETTERS = st.text("[]*?{}()\\'\"#%$~&;:=+-,. \n\tüx1").map(os.fsencode)


@pytest.mark.thorough
@given(name=(st.binary(max_size=40) | LETTERS).filter(is_name))
@example(b"lr[3e-3]")
@example(b"gs:x")
@example(b"%s-%d")
@example(b"x" * 255)
def test_tensorflow_finds_what_lies_below_any_name(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("names") / os.fsdecode(name)
    folder.mkdir()
    module = tf.Module()
    module.number = tf.Variable(7.0)
    with files.for_tensorflow(folder) as plain:
        tf.train.Checkpoint(number=module.number).write(f"{plain}/ckpt-1")
        tf.saved_model.save(module, f"{plain}/model")
    there = sorted(path.name for path in folder.iterdir())
    assert there == ["ckpt-1.data-00000-of-00001", "ckpt-1.index", "model"]
    module.number.assign(0.0)
    with files.for_tensorflow(folder) as plain:
        saved = tf.train.load_checkpoint(f"{plain}/ckpt-1")
        assert saved.get_tensor("number/.ATTRIBUTES/VARIABLE_VALUE") == 7.0
        assert tf.saved_model.load(f"{plain}/model").number == 7.0


def test_a_plain_name_and_one_without_the_kernels_links_stay(tmp_path, monkeypatch):
    with files.for_tensorflow(tmp_path) as plain:
        assert plain == str(tmp_path)
    odd = tmp_path / "a b"
    odd.mkdir()
    with files.for_tensorflow(odd) as plain:
        assert plain.startswith("/proc/self/fd/")
    assert not os.path.exists(plain)  # noqa: PTH110
    monkeypatch.setattr(files.Path, "is_dir", lambda path: False)
    with files.for_tensorflow(odd) as plain:
        assert plain == str(odd)


def encrypted(whole: bytes) -> bytes:
    """Set the flag of encryption in an archive's headers."""
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = whole.index(mark) + place
        whole = whole[:start] + b"\x01" + whole[start + 1 :]
    return whole


def of_another_method(whole: bytes) -> bytes:
    """Name Deflate64, which zipfile does not know, in an archive's headers."""
    for mark, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        start = whole.index(mark) + place
        whole = whole[:start] + b"\x09" + whole[start + 1 :]
    return whole


def with_header(old: bytes, new: bytes):
    """Return a function that changes the header of an archive's array, with a right checksum."""

    def changed(whole: bytes) -> bytes:
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            content = archive.read("a.npy")
        assert old in content and len(old) == len(new)
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w") as archive:
            archive.writestr("a.npy", content.replace(old, new, 1))
        return written.getvalue()

    return changed


DAMAGES = {
    "cut off": lambda whole: whole[: len(whole) // 2],
    "encrypted": encrypted,
    "another method": of_another_method,
    "a header of no Python": with_header(b"(4,), }", b"(4,,  }"),
    "an open bracket": with_header(b"(4,), }", b"(4,   }"),
    "too large": with_header(b"(4,), }" + b" " * 16, b"(4000000000000000,), } "),
    "text": lambda whole: b"not an archive",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_arrays_are_value_errors(tmp_path, damage):
    path = tmp_path / "a.npz"
    files.write_arrays(path, {"a": np.zeros(4)})
    whole = path.read_bytes()
    path.write_bytes(DAMAGES[damage](whole))
    assert path.read_bytes() != whole
    with pytest.raises(ValueError, match=r"is not an \.npz"):
        files.read_arrays(path)


def test_an_archive_of_other_things_holds_no_arrays(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("readme.txt", "text")
    with pytest.raises(ValueError, match="is not an array"):
        files.read_arrays(tmp_path / "a.npz")


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder/file")
    for content in ("first", "second"):
        write_whole(tmp_path / "link", content)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "folder" / "file").read_text() == content
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["file"]
