"""Presets are found by name, folder and address, written whole, and refused in one line."""

import builtins
import json
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest

from tfvrnn import presets
from tfvrnn.config import UserError

CONFIG = {"class_name": "VRNN", "config": {"groups": 2}}
WEIGHTS = [np.float32([[0.1, 0.2]]), np.float32([3.0])]


@pytest.fixture
def preset(tmp_path):
    presets.write(tmp_path / "preset", CONFIG, WEIGHTS, "# A card\n", step=7)
    return tmp_path / "preset"


@pytest.fixture
def hub(preset, tmp_path, monkeypatch):
    """Write the hub's cache as a download of one repository leaves it, without a network."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "hub" / "models--someone--pusht"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    (repository / "snapshots").mkdir()
    preset.rename(repository / "snapshots" / commit)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def test_what_is_written_is_read(preset):
    read = presets.read(presets.find(preset))
    assert read.config == CONFIG and read.step == 7
    for weight, same in zip(WEIGHTS, read.weights, strict=True):
        np.testing.assert_array_equal(weight, same)
    assert sorted(p.name for p in preset.iterdir()) == ["README.md", "config.json", "weights.npz"]


def test_half_precision_rounds_and_is_read_as_float32(tmp_path):
    presets.write(tmp_path, CONFIG, WEIGHTS, dtype="float16")
    weight = presets.read(tmp_path).weights[0]
    np.testing.assert_array_equal(weight, np.float16(WEIGHTS[0]))
    assert weight.dtype == np.float32
    with pytest.raises(ValueError, match="must be float32 for weights beyond 65504"):
        presets.write(tmp_path, CONFIG, [np.float32([65504, -1e5])], dtype="float16")
    np.testing.assert_array_equal(presets.read(tmp_path).weights[0], weight)  # nothing was written


def test_a_card_that_is_there_gives_way_only_to_a_given_one(preset):
    presets.write(preset, CONFIG, WEIGHTS, default_card="short")
    assert (preset / "README.md").read_text() == "# A card\n"
    presets.write(preset, CONFIG, WEIGHTS, "mine", default_card="short")
    assert (preset / "README.md").read_text() == "mine"


def test_the_configuration_of_another_run_does_not_stay(preset):
    (preset / "config.flags").write_text("--model.width=4")
    presets.write(preset, CONFIG, WEIGHTS)
    assert not (preset / "config.flags").exists()


def test_other_dtypes_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must be float32 or float16. Received: 'int8'"):
        presets.write(tmp_path, CONFIG, WEIGHTS, dtype="int8")


@pytest.mark.parametrize("name", presets.NAMES)
def test_shipped_presets_are_found_by_name(name):
    folder = presets.find(name)
    assert (folder / "weights.npz").is_file() and (folder / "README.md").is_file()


def test_a_path_is_a_folder_before_it_is_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert presets.find(Path("smmnist")) == presets.FOLDER / "smmnist"
    (tmp_path / "smmnist").mkdir()
    assert presets.find(Path("smmnist")).resolve() == tmp_path / "smmnist"
    assert presets.find("smmnist") == presets.FOLDER / "smmnist"


def test_a_preset_of_the_hub_is_found_in_its_cache(hub):
    assert presets.read(presets.find("hf://someone/pusht")).step == 7


def test_an_address_may_be_a_path(hub):
    assert presets.find(Path("hf://someone/pusht")) == presets.find("hf://someone/pusht")


@pytest.mark.parametrize("address", ["hf://someone/else", "hf://", "hf://no/such/name"])
def test_what_the_hub_does_not_have_is_one_line(hub, address):
    with pytest.raises(UserError, match=f"^{address} cannot be downloaded: ") as error:
        presets.find(address)
    assert "\n" not in str(error.value)


def test_without_the_hub_package_the_line_says_how_to_get_it(monkeypatch):
    real = builtins.__import__

    def missing(name, *arguments, **options):
        if name == "huggingface_hub":
            raise ImportError
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UserError, match=r'pip install "tfvrnn\[hub\]"'):
        presets.find("hf://someone/pusht")


def test_an_unknown_name_lists_the_shipped_ones():
    with pytest.raises(
        UserError, match=r"no preset 'mnist': it is neither a folder, nor .* one of smmnist"
    ):
        presets.find("mnist")
    with pytest.raises(UserError, match=r"smmnist.*; keras.saving.load_model reads .keras files"):
        presets.find("mine.keras")


@pytest.mark.parametrize("name", ["config.json", "weights.npz"])
def test_a_missing_or_damaged_file_is_one_line(preset, name):
    whole = (preset / name).read_bytes()
    (preset / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=f"{preset} holds no preset: ") as error:
        presets.read(preset)
    assert "\n" not in str(error.value)
    (preset / name).unlink()
    with pytest.raises(UserError, match=f"holds no preset: it has no {name}"):
        presets.read(preset)


def test_weights_without_their_places_are_one_line(preset):
    np.savez(preset / "weights.npz", step=1, other=np.zeros(2))
    with pytest.raises(UserError, match="holds no weights"):
        presets.read(preset)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1j, True], ids=str)
def test_weights_are_finite_numbers(preset, wrong):
    weights = {str(k): np.asarray(weight) for k, weight in enumerate(WEIGHTS)}
    np.savez(preset / "weights.npz", **(weights | {"0": np.array([wrong])}), step=1)
    with pytest.raises(
        UserError, match=r"holds no preset: .*weights\.npz must hold finite numbers"
    ):
        presets.read(preset)


def test_a_deeply_nested_configuration_is_one_line(preset):
    (preset / "config.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match=r"holds no preset: .*config\.json is nested too deeply"):
        presets.read(preset)


def test_config_json_is_text_to_read(preset):
    assert json.loads((preset / "config.json").read_text()) == CONFIG


def test_a_run_with_checkpoints_is_not_overwritten(preset):
    (preset / "checkpoints").mkdir()
    (preset / "config.flags").write_text("--model.width=4")
    with pytest.raises(UserError, match="is the folder of a run"):
        presets.write(preset, CONFIG, WEIGHTS)
    assert (preset / "config.flags").is_file()
