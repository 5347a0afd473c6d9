import gc
import subprocess
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, Phase, settings
from tensorflow.python.framework import ops

# Training on a CPU does the same. The graph optimizer takes longer than these graphs run.
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})

# Fuzzing tries the same few cases in every run, and many others with --hypothesis-profile=long.
FUZZING = dict(
    deadline=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
    database=None,
)
settings.register_profile("short", max_examples=40, derandomize=True, **FUZZING)
settings.register_profile("long", max_examples=7_500, **FUZZING)
settings.load_profile("short")


# Files and folders that trace little and start no programs: python -m pytest -m fast.
FAST = [
    "cli/test_main.py", "cli/test_prepare.py", "cli/test_runtime.py", "cli/test_sample.py",
    "data/test_bair.py", "data/test_simulated.py", "data/test_video_folder.py",
    "data/test_video_folder_contents.py", "data/test_windows.py", "evaluation/test_figures.py",
    "evaluation/test_grid.py", "evaluation/test_report.py", "layers", "measurement",
    "media/test_images.py", "media/test_video_files.py", "media/test_wholeness.py",
    "metrics/test_frame.py", "metrics/test_intervals.py", "metrics/test_kernel.py",
    "metrics/test_lpips.py", "metrics/test_weights.py", "models/test_copy_last.py",
    "models/test_objective.py", "models/test_prednet.py", "models/test_presets_of_models.py",
    "models/test_reconstruction.py", "sampling/test_arguments.py", "sampling/test_host_loop.py",
    "serving/test_samplers.py", "test_commands.py", "test_config.py", "test_config_flags.py",
    "test_distributions.py", "test_docker.py", "test_documents.py", "test_files.py",
    "test_layering.py", "test_media.py", "test_mirror.py", "test_presets.py", "test_reproduce.py",
    "test_roofline.py", "test_style.py", "test_tensor_ops.py", "test_tfvrnn.py",
]  # fmt: skip


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    fast = [Path(__file__).parent / name for name in FAST]
    assert all(path.exists() for path in fast), fast  # a module that moved must stay in the list
    for item in items:
        thorough = item.get_closest_marker("thorough")
        if not thorough and any(item.path.is_relative_to(path) for path in fast):
            item.add_marker(pytest.mark.fast)
    # Its files take longest. They come first, so that no process waits for another at the end.
    items.sort(key=lambda item: item.path.parent.name != "training")


def pytest_collection_finish():
    """Exclude imported modules from garbage collection, which would visit all of them each time."""
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def forget_models():
    """Free the models and traced graphs of one file before the next."""
    yield
    keras.utils.clear_session()
    gc.collect()


@pytest.fixture(autouse=True)
def collect_after_long_tests():
    """Free traced graphs, which are large and hang in circles of references.

    TensorFlow also keeps the gradient of every traced tf.custom_gradient for ever, and with it the
    graph, half a gigabyte for a train step. A run traces once, but the tests would run out of
    memory.
    """
    started = time.perf_counter()
    yield
    if time.perf_counter() - started > 1:
        registry = ops.gradient_registry._registry
        for name in [name for name in registry if name.startswith("CustomGradient-")]:
            del registry[name]
        gc.collect()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def ffmpeg():
    """Return FFmpeg's own program as a function of its arguments, which returns its output."""
    import imageio_ffmpeg

    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y"]

    def run(*arguments) -> bytes:
        line = [*program, *map(str, arguments)]
        return subprocess.run(line, check=True, stdout=subprocess.PIPE).stdout

    return run


def as_training_leaves_it(folder, **model_options):
    """Write a run folder whose moving averages are not the weights."""
    from tfvrnn.config import Config, DataConfig, ModelConfig, TrainConfig
    from tfvrnn.models import build_model
    from tfvrnn.runs import RunFolder
    from tfvrnn.runs.checkpoints import Checkpoints
    from tfvrnn.training.optimizer import MovingAverages, make_optimizer

    config = Config(
        model=ModelConfig(image_size=8, channels=1, **model_options),
        data=DataConfig(horizon=2, batch_size=2, digits=1),
        train=TrainConfig(average_decay=0.5),
    )
    model = build_model(config.model)
    optimizer = make_optimizer(config.train)
    optimizer.build(model.trainable_variables)
    averages = MovingAverages(model, config.train.average_decay)
    for weight in averages.weights:
        weight.assign(0.5 * weight)
    checkpoints = Checkpoints(RunFolder(folder), model, optimizer, averages)
    checkpoints.advance()
    checkpoints.advance()
    checkpoints.save()
    RunFolder(folder).write_config(config)


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """Yield a run folder as training leaves it, with moving averages that are not the weights.

    Many tests share it. A test that would write into it copies it first.
    """
    folder = tmp_path_factory.mktemp("run") / "run"
    as_training_leaves_it(folder, width=8, groups=2, latent_resolutions=(1,))
    files = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    yield folder
    assert files == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture
def prednet_run(tmp_path):
    """Yield such a run of a PredNet, which is built in a tenth of the time, for one test only."""
    as_training_leaves_it(tmp_path / "run", family="prednet", prednet_stacks=(2, 2, 2))
    return tmp_path / "run"


@pytest.fixture(scope="session")
def copying_run(tmp_path_factory):
    """Yield a run that copies the last frame: it loads, predicts and exports at once.

    It is for tests that do not depend on the model. A test that would write into it copies it
    first.
    """
    from tfvrnn import files
    from tfvrnn.config import Config, DataConfig, ModelConfig
    from tfvrnn.runs import RunFolder

    folder = RunFolder(tmp_path_factory.mktemp("copying") / "run")
    folder.path.mkdir()
    model = ModelConfig(family="copy_last", image_size=8, channels=1)
    folder.write_config(Config(model=model, data=DataConfig(horizon=2, batch_size=2, digits=1)))
    files.write_arrays(folder.weights, {"step": np.int64(2)})
    yield folder.path
    assert len(list(folder.path.iterdir())) == 2


@pytest.fixture
def eagerly():
    """Run tf.functions eagerly: a function that runs once runs sooner than it is traced."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
