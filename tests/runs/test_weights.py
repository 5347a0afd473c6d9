import errno
import gc
from types import SimpleNamespace

import numpy as np
import pytest
from marks import thorough

from tfvrnn import config_flags, files, presets, runs
from tfvrnn.config import Config, ModelConfig, UserError
from tfvrnn.models import build_model
from tfvrnn.runs import (
    RunFolder,
    copy_pretrained,
    keep_weights,
    load_pretrained,
    load_run,
    resume,
)
from tfvrnn.runs.checkpoints import Checkpoints
from tfvrnn.training.optimizer import MovingAverages, make_optimizer


def resolve(arguments):
    return runs.resolve(config_flags.parse_changes(arguments, Config))


SMALL = {"image_size": 16, "channels": 1, "width": 8, "groups": 2}


@pytest.mark.thorough
@pytest.mark.parametrize("averaged", [False, True], ids=["last", "averages"])
@pytest.mark.parametrize("family", ["vrnn", "svg", "prednet"])
def test_every_weight_of_a_run_is_loaded(family, averaged, tmp_path, rng):
    size = {"image_size": 64} if family == "svg" else {}
    config = Config(model=ModelConfig(family=family, **SMALL | size))
    model = build_model(config.model)
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape))
    optimizer = make_optimizer(config.train)
    optimizer.build(model.trainable_variables)
    averages = MovingAverages(model, 0.9) if averaged else None
    folder = RunFolder(tmp_path / "run")
    Checkpoints(folder, model, optimizer, averages).save()
    folder.write_config(config)
    expected = [weight.numpy() for weight in model.weights]
    if averaged:
        for average in averages.averages:
            average.assign(average + 1.0)
        Checkpoints(folder, model, optimizer, averages).save()
        expected = [value + 1.0 for value in expected]
    _, loaded, _ = load_run(folder.path)
    for weight, value in zip(loaded.weights, expected):
        np.testing.assert_array_equal(weight.numpy(), value.astype(np.float32), weight.path)


def test_averages_of_trained_weights_only_are_read(tmp_path, rng):
    """Version 0.1.0 kept no others."""
    config = Config(model=ModelConfig(family="svg", image_size=64, channels=1, svg_latents=2))
    model = build_model(config.model)
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape))
    optimizer = make_optimizer(config.train)
    optimizer.build(model.trainable_variables)
    averages = MovingAverages(model, 0.9)
    pairs = zip(averages.averages, model.weights)
    averages.averages = [average for average, weight in pairs if weight.trainable]
    for average in averages.averages:
        average.assign(average + 1.0)
    folder = RunFolder(tmp_path / "run")
    Checkpoints(folder, model, optimizer, averages).save()
    folder.write_config(config)
    expected = [w.numpy() + w.trainable for w in model.weights]
    for weight, value in zip(load_run(folder.path)[1].weights, expected):
        np.testing.assert_array_equal(weight.numpy(), value.astype(np.float32))

    resumed = MovingAverages(model, 0.9)
    for average in resumed.averages:
        average.assign(0.0 * average)
    Checkpoints(folder, model, optimizer, resumed).restore()
    for average, value in zip(resumed.averages, expected):
        np.testing.assert_array_equal(average.numpy(), value.astype(np.float32))


@pytest.fixture
def kept(small_run, tmp_path):
    keep_weights(small_run, tmp_path / "kept")
    return tmp_path / "kept"


def test_kept_weights_are_those_of_the_run_rounded_to_half_precision(small_run, kept):
    names = sorted(path.name for path in kept.iterdir())
    assert names == ["README.md", "config.flags", "config.json", "weights.npz"]
    config, model, step = load_run(small_run)
    kept_config, kept_model, kept_step = load_run(kept)
    assert kept_step == step and kept_config.model == config.model
    for weight, same in zip(model.get_weights(), kept_model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight.astype(np.float16), same)


def test_training_can_start_from_kept_weights_but_not_continue_there(kept, tmp_path):
    new = [f"--flagfile={kept}/config.flags", f"--train.run_dir={tmp_path / 'new'}"]
    config, resumes = resolve([*new, f"--train.init_from={kept}"])
    assert config.train.init_from == str(kept) and not resumes
    with pytest.raises(UserError, match=f"start a new run with --train.init_from={kept}"):
        resolve([f"--train.run_dir={kept}"])


def test_a_configuration_that_is_cut_off_is_not_filled_with_defaults(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write_config(Config())
    text = folder.config_file.read_text()
    assert folder.read_config().data == Config().data
    folder.config_file.write_text(text[: text.index("--data.dataset")])
    with pytest.raises(UserError, match=r"config\.flags is cut off"):
        folder.read_config()
    folder.config_file.write_text("")
    with pytest.raises(UserError, match=r"config\.flags is cut off"):
        folder.read_config()
    folder.config_file.write_text("--model.widht=8\n")
    with pytest.raises(UserError, match=r"unknown flag --model\.widht"):
        folder.read_config()
    folder.config_file.write_text("# by hand: the rest are the defaults\n--model.width=32\n")
    assert folder.read_config().model.width == 32


def test_a_pretrained_model_takes_no_other_runs_place(tmp_path):
    copy_pretrained("smmnist", tmp_path / "new")
    flags = tmp_path / "new" / "config.flags"
    text = flags.read_text()
    flags.write_text(text.replace("--train.fine_beta=1.0\n", ""))  # of an earlier version
    copy_pretrained("smmnist", tmp_path / "new")
    assert flags.read_text() == text
    RunFolder(tmp_path).write_config(Config())
    with pytest.raises(UserError, match="holds another run"):
        copy_pretrained("smmnist", tmp_path)


def test_a_copy_that_is_there_is_not_written_again(tmp_path, monkeypatch):
    copy_pretrained("smmnist", tmp_path)

    def read_only(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(files, "check_writable", read_only)
    monkeypatch.setattr(files, "write_whole", read_only)
    copy_pretrained("smmnist", tmp_path)
    (tmp_path / "README.md").unlink()
    with pytest.raises(UserError, match="Read-only file system"):
        copy_pretrained("smmnist", tmp_path)


@pytest.mark.thorough
def test_an_interrupted_copy_continues(tmp_path, monkeypatch):
    write = files.write_whole

    def fill_up(path, content):
        if list(tmp_path.iterdir()):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content)

    monkeypatch.setattr(files, "write_whole", fill_up)
    with pytest.raises(OSError, match="No space left"):
        copy_pretrained("smmnist", tmp_path)
    monkeypatch.undo()
    copy_pretrained("smmnist", tmp_path)
    assert load_run(tmp_path)[2] == load_pretrained("smmnist")[2]


@pytest.mark.parametrize("averaged", [thorough(False), True])
def test_resuming_raises_no_alarm(small_run, averaged, caplog):
    # TensorFlow warns of values that were not restored when what restores is forgotten.
    config, model, _ = load_run(small_run)
    optimizer = make_optimizer(config.train)
    optimizer.build(model.trainable_variables)
    averages = MovingAverages(model, 0.5) if averaged else None
    gc.collect()
    caplog.clear()
    assert Checkpoints(RunFolder(small_run), model, optimizer, averages).restore()
    gc.collect()
    assert not caplog.records


def test_a_run_continues_with_the_optimizer_that_it_began_with(small_run):
    with pytest.raises(UserError, match="is trained with adam, not with muon: start a new run"):
        resolve([f"--train.run_dir={small_run}", "--train.optimizer=muon"])


def test_kept_weights_that_are_damaged_or_of_another_model_are_one_line(prednet_run, tmp_path):
    kept = tmp_path / "kept"
    keep_weights(prednet_run, kept)
    path = RunFolder(kept).weights
    whole = path.read_bytes()
    arrays = files.read_arrays(path)
    for place in np.linspace(0, len(whole) - 1, 20, dtype=int):
        path.write_bytes(whole[:place])
        with pytest.raises(UserError, match="does not hold the weights of its model"):
            load_run(kept)
    for change in ({"0": arrays["1"]}, {"9999": arrays["0"]}, {"step": np.zeros(2)}):
        files.write_arrays(path, arrays | change)
        with pytest.raises(UserError, match="does not hold the weights of its model"):
            load_run(kept)


@pytest.mark.parametrize("name", [n if n == "pusht" else thorough(n) for n in presets.NAMES])
def test_what_is_shipped_is_whole_and_small(name):
    folder = presets.FOLDER / name
    config, model, step = load_run(folder)
    assert config.data.dataset in {"smmnist", "sim_push_fixed", "pusht"} and step > 0
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    assert (folder / "README.md").is_file()


def test_a_pretrained_model_is_loaded_by_its_name():
    config, model, step = load_pretrained("smmnist")
    assert step == config.train.steps and model.image_shape == (32, 32, 1)
    with pytest.raises(UserError, match=r"must be one of smmnist, .* Received: 'mnist'"):
        load_pretrained("mnist")


@pytest.mark.thorough
@pytest.mark.parametrize("kinds", [("l1", "gaussian"), ("laplace", "gaussian"), ("gaussian", "l1")])
def test_another_likelihood_starts_with_its_own_scale(tmp_path, kinds):
    configs = [Config(model=ModelConfig(**SMALL, reconstruction=kind)) for kind in kinds]
    source, model = (build_model(config.model, seed=k) for k, config in enumerate(configs))
    if source.calibrated:
        source.likelihood.error.assign([0.07])
    source.save_to_preset(tmp_path)
    RunFolder(tmp_path).write_config(configs[0])
    config = config_flags.replace(configs[1], {"train.init_from": str(tmp_path)})
    new = SimpleNamespace(restore=lambda: None, were_saved=False, averages=None)
    resume.restore(config, RunFolder(tmp_path / "new"), model, new)
    for weight, theirs in zip(model.trainable_weights, source.trainable_weights, strict=True):
        np.testing.assert_array_equal(weight, theirs)
    if model.calibrated:
        assert float(model.likelihood.error[0]) == 0.0625
