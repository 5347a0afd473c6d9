import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import prediction_log_pb2
from tensorflow_serving.config import model_server_config_pb2
from tiny_models import Drift, Fade, vrnn

from tfvrnn import media, sampling
from tfvrnn.config import ModelConfig, UserError
from tfvrnn.models import build_model
from tfvrnn.runs import load_run
from tfvrnn.serving import export
from tfvrnn.serving.client import Client
from tfvrnn.serving.versions import free_version, version_folders

HORIZON, SAMPLES, LARGEST = 3, 2, 3
STATEFUL_RANDOM = {"RandomStandardNormal", "RandomUniform", "TruncatedNormal"}


class Exported:
    def __init__(self, model, base):
        self.model, self.base = model, base
        self.version = export.export_model(model, base, HORIZON, SAMPLES, None, LARGEST, "name")
        self.signatures = tf.saved_model.load(str(self.version)).signatures
        shape = (2, model.context_frames, *model.image_shape)
        self.frames = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        self.seeds = np.array([3, 11], np.int32)

    def call(self, signature, **inputs):
        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        return self.signatures[signature](**tensors)["frames"].numpy()


@pytest.fixture(scope="module", params=[vrnn, Drift], ids=["vrnn", "another_family"])
def exported(request, tmp_path_factory):
    return Exported(request.param(), tmp_path_factory.mktemp("export") / "base")


@pytest.fixture(scope="module")
def drift(tmp_path_factory):
    return Exported(Drift(), tmp_path_factory.mktemp("drift") / "base")


def assert_same_frames(found, expected):
    """Check that frames are equal up to rounding: at most one grey level, and hardly ever that."""
    assert found.dtype == np.uint8 and found.shape == expected.shape
    difference = np.abs(found.astype(int) - media.to_uint8(expected).astype(int))
    assert difference.max() <= 1 and np.mean(difference > 0) < 0.02


def test_served_frames_are_those_of_sample_videos(exported):
    frames, seeds = exported.frames, exported.seeds
    found = exported.call("serving_default", frames=frames, seed=seeds)
    expected = sampling.sample_videos(exported.model, frames, HORIZON, seeds)
    assert_same_frames(found, expected.numpy())
    again = exported.call("serving_default", frames=frames, seed=seeds)
    np.testing.assert_array_equal(found, again)
    others = exported.call("serving_default", frames=frames, seed=seeds + 1)
    assert np.any(found != others, axis=(1, 2, 3, 4)).all()


class Noise(Drift):
    """Renders its noise: the sign of the first channels, and nothing else."""

    def render(self, state, latents):
        bits = tf.bitcast(latents[0], tf.int32)
        shifted = [tf.bitwise.right_shift(bits, 8 * k) for k in range(4)]
        planes = [tf.bitwise.bitwise_and(plane, 255) for plane in shifted]
        frame = tf.concat([planes[0], planes[1]], axis=1)
        frame = tf.concat([frame, tf.concat([planes[2], planes[3]], axis=1)], axis=2)
        frame = tf.pad(tf.cast(frame, tf.float32), [(0, 0), (0, 6), (0, 6), (0, 0)])
        return state, frame / 255.0


def test_noise_of_an_export_is_that_of_sampling_to_the_bit(tmp_path):
    """Every byte of every float is returned."""
    model = Noise()
    version = export.export_model(model, tmp_path, 2, 1, None, 1)
    signature = tf.saved_model.load(str(version)).signatures["serving_default"]
    frames = np.zeros((3, 3, 8, 8, 3), np.uint8)
    found = signature(frames=tf.constant(frames), seed=tf.constant([4, 9, -2]))["frames"].numpy()
    for time in range(2):
        (noise,) = sampling.row_noise(model, tf.constant([4, 9, -2]), time)
        expected = noise.numpy().view(np.uint8).reshape(3, 3, 4)  # row, channel, byte
        places = [(0, 0), (1, 0), (0, 1), (1, 1)]
        for byte, (y, x) in enumerate(places):
            np.testing.assert_array_equal(found[:, time, y, x], expected[..., byte])


def test_several_samples_are_those_of_the_seeds_that_follow(exported):
    frames, seeds = exported.frames, exported.seeds
    found = exported.call("samples", frames=frames, seed=seeds)
    expected = sampling.sample_videos(exported.model, frames, HORIZON, [[3, 4], [11, 12]])
    assert_same_frames(found, expected.numpy())


@pytest.mark.thorough
def test_the_mean_needs_no_seed(exported):
    found = exported.call("mean", frames=exported.frames)
    expected = sampling.sample_videos(exported.model, exported.frames, HORIZON, mean=True)
    assert_same_frames(found, expected.numpy())


def test_a_model_without_noise_takes_seeds_and_does_not_need_them(tmp_path):
    fade = Exported(Fade(), tmp_path / "base")
    found = fade.call("serving_default", frames=fade.frames, seed=fade.seeds)
    expected = sampling.sample_videos(fade.model, fade.frames, HORIZON, mean=True)
    assert_same_frames(found, expected.numpy())
    np.testing.assert_array_equal(fade.call("mean", frames=fade.frames), found)
    several = fade.call("samples", frames=fade.frames, seed=fade.seeds)
    np.testing.assert_array_equal(several, np.repeat(found[:, None], SAMPLES, axis=1))


def test_a_row_does_not_depend_on_its_batch(exported):
    frames, seeds = exported.frames, exported.seeds
    together = exported.call("serving_default", frames=frames, seed=seeds)
    for k in range(2):
        alone = exported.call("serving_default", frames=frames[k : k + 1], seed=seeds[k : k + 1])
        assert np.abs(together[k].astype(int) - alone[0].astype(int)).max() <= 1


@pytest.mark.thorough
def test_the_session_loader_finds_the_same_by_tensor_names(exported):
    """The C++ server loads exports in this way."""
    values = {"frames": exported.frames, "seed": exported.seeds}
    graph, found, inputs = tf.Graph(), {}, {}
    with graph.as_default(), tf.compat.v1.Session(graph=graph) as session:
        meta = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(exported.version))
        for name in ("serving_default", "samples", "mean"):
            signature = meta.signature_def[name]
            inputs[name] = {key: values[key] for key in signature.inputs}
            feed = {info.name: values[key] for key, info in signature.inputs.items()}
            found[name] = session.run(signature.outputs["frames"].name, feed)
        kinds = {op.type for op in graph.get_operations()}
        for function in graph.as_graph_def().library.function:
            kinds |= {node.op for node in function.node_def}
    assert not kinds & STATEFUL_RANDOM
    assert any(kind.startswith("StatelessRandomNormal") for kind in kinds)
    for name, frames in found.items():
        difference = frames.astype(int) - exported.call(name, **inputs[name]).astype(int)
        assert np.abs(difference).max() <= 1


def test_every_tensor_has_the_batch_in_dimension_0(exported):
    for signature in exported.signatures.values():
        specs = [*signature.structured_input_signature[1].values()]
        for spec in [*specs, *signature.structured_outputs.values()]:
            assert spec.shape.rank >= 1 and spec.shape[0] is None
            assert None not in spec.shape[1:]


def test_seeds_must_be_as_many_as_contexts(drift):
    with pytest.raises(tf.errors.InvalidArgumentError, match="differ in dimension 0"):
        drift.call("serving_default", frames=drift.frames, seed=np.zeros(4, np.int32))


def stepwise(signatures, frames, seeds, count):
    """Draw frames by `begin` and steps, with every row at its own time in the end."""
    inputs, videos = dict(signatures["begin"](frames=tf.constant(frames))), []
    for time in range(count):
        times = tf.fill(seeds.shape, time)
        inputs = dict(signatures["step"](seed=tf.constant(seeds), time=times, **inputs))
        videos.append(inputs.pop("frame").numpy())
    return np.stack(videos, axis=1)


def test_steps_give_the_frames_of_one_call_to_the_bit(exported):
    frames, seeds = exported.frames, exported.seeds
    found = stepwise(exported.signatures, frames, seeds, HORIZON + 2)
    expected = exported.call("serving_default", frames=frames, seed=seeds)
    np.testing.assert_array_equal(found[:, :HORIZON], expected)
    assert found.shape[1] == HORIZON + 2 and found.dtype == np.uint8


def test_rows_of_one_step_may_be_at_different_times(exported):
    step, begun = exported.signatures["step"], exported.signatures["begin"]
    state = dict(begun(frames=tf.constant(exported.frames)))
    seeds = tf.constant([3, 3])
    later = step(seed=seeds, time=tf.constant([0, 5]), **state)["frame"]
    alone = step(seed=seeds, time=tf.constant([5, 5]), **state)["frame"]
    np.testing.assert_array_equal(later[1], alone[1])
    assert np.any(later[0] != alone[0])
    with pytest.raises(tf.errors.InvalidArgumentError, match="differ in dimension 0"):
        step(seed=seeds[:1], time=tf.constant([0, 5]), **state)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "options,precision",
    [
        (dict(family="svg", channels=1), "float32"),
        (dict(family="prednet", image_size=8, prednet_stacks=(2, 2, 2)), "float32"),
        (dict(family="copy_last", image_size=8), "float32"),
        (
            dict(image_size=8, width=8, groups=2, latent_resolutions=(1,), latent_feedback="own"),
            "mixed_bfloat16",
        ),
    ],
)
def test_every_family_can_be_stepped(options, precision, rng):
    model = build_model(ModelConfig(**options), precision)
    _, signatures = export.sampler_module(model, 3, 1)
    frames = rng.integers(0, 256, (2, model.context_frames, *model.image_shape), np.uint8)
    seeds = np.array([3, 11], np.int32)
    expected = signatures["serving_default"](frames=tf.constant(frames), seed=tf.constant(seeds))
    np.testing.assert_array_equal(stepwise(signatures, frames, seeds, 3), expected["frames"])
    inputs = signatures["step"].structured_input_signature[1]
    assert {spec.dtype for spec in inputs.values()} <= {tf.float32, tf.int32}


@pytest.mark.parametrize("scale", [(2, 2, 1), (1, 1, 2)])
def test_frames_of_another_shape_are_refused(exported, scale):
    # TensorFlow itself does not check shapes in a loaded model.
    frames = np.tile(exported.frames, (1, 1, *scale))
    with pytest.raises(tf.errors.InvalidArgumentError, match="the shape of `frames`"):
        exported.call("mean", frames=frames)
    with pytest.raises(tf.errors.InvalidArgumentError, match="the shape of `frames`"):
        exported.call("serving_default", frames=frames, seed=exported.seeds)


@pytest.mark.thorough
def test_saved_model_cli_lists_the_signatures(drift):
    command = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli", "show", "--all"]
    command += ["--dir", str(drift.version)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for text in ("signature_def['serving_default']", "signature_def['samples']", "DT_UINT8"):
        assert text in done.stdout
    assert f"shape: (-1, {SAMPLES}, {HORIZON}, 8, 8, 3)" in done.stdout


def test_warm_up_requests_cover_every_signature_and_allowed_size(drift):
    path = drift.version / "assets.extra" / "tf_serving_warmup_requests"
    records = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    logs = [prediction_log_pb2.PredictionLog.FromString(record) for record in records]
    requests = [log.predict_log.request for log in logs]
    found = {
        (r.model_spec.signature_name, r.inputs["frames"].tensor_shape.dim[0].size) for r in requests
    }
    names = ("mean", "samples", "serving_default")
    assert found == {(name, size) for name in names for size in (1, 2, LARGEST)}
    assert all(r.model_spec.name == "name" for r in requests)


def test_files_beside_the_versions(drift):
    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse((drift.base / "models.config").read_text(), config)
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path) == ("name", "/models/name")
    lines = (drift.base / "batching.config").read_text().splitlines()
    allowed = [int(line.split()[1]) for line in lines if line.startswith("allowed_batch_sizes")]
    assert allowed == [1, 2, LARGEST]
    assert f"max_batch_size {{ value: {LARGEST} }}" in lines
    card = json.loads((drift.base / "model_card.json").read_text())
    assert card["version"] == 1 and card["batch_sizes"] == allowed
    assert card["family"] == "Drift" and card["horizon"] == HORIZON
    assert sorted(path.name for path in drift.base.iterdir()) == [
        "1", "batching.config", "model_card.json", "models.config",
    ]  # fmt: skip


def test_versions_count_up_and_are_never_written_over(tmp_path):
    model = Drift()
    assert export.export_model(model, tmp_path, 1).name == "1"
    assert export.export_model(model, tmp_path, 1, version=7).name == "7"
    (tmp_path / str(2**63 - 1)).mkdir()
    with pytest.raises(UserError, match="has 9223372036854775807 already"):
        free_version(tmp_path, None)
    (tmp_path / str(2**63 - 1)).rmdir()
    assert export.export_model(model, tmp_path, 1).name == "8"
    with pytest.raises(UserError, match=f"version 7 is in {tmp_path} already"):
        export.export_model(model, tmp_path, 1, version=7)
    # The files beside the versions are those of the newest.
    export.export_model(model, tmp_path, 1, version=3, name="other")
    assert json.loads((tmp_path / "model_card.json").read_text())["version"] == 8
    assert "other" not in (tmp_path / "models.config").read_text()


def test_numbers_of_numpy_are_exported(tmp_path):
    given = dict(samples=np.int64(1), version=np.int64(4), max_batch=np.int32(1))
    export.export_model(Drift(), tmp_path, np.int64(1), temperature=np.float32(0.5), **given)
    card = json.loads((tmp_path / "model_card.json").read_text())
    assert (card["version"], card["horizon"], card["temperature"]) == (4, 1, 0.5)


def test_versions_may_begin_with_zeros(tmp_path):
    for name in ("00000123", "7", "007", "a1", "-1", str(2**63)):
        (tmp_path / name).mkdir()
    expected = {7: tmp_path / "7", 123: tmp_path / "00000123"}
    assert version_folders(tmp_path) == expected
    assert free_version(tmp_path, None) == 124


def test_a_call_may_last_a_year_and_no_more():
    with Client("127.0.0.1:1", timeout=1e300) as client:
        assert 1e7 < client.timeout < 1e8


def test_two_exports_at_once_are_two_versions(tmp_path, monkeypatch):
    write = export.warmup.write

    def overtaken(*arguments):
        write(*arguments)
        monkeypatch.setattr(export.warmup, "write", write)
        assert export.export_model(Drift(), tmp_path, 1) == tmp_path / "1"

    monkeypatch.setattr(export.warmup, "write", overtaken)
    assert export.export_model(Drift(), tmp_path, 1) == tmp_path / "2"
    card = json.loads((tmp_path / "2" / "assets.extra" / "model_card.json").read_text())
    assert card["version"] == 2


def test_a_failed_export_leaves_no_version(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export.warmup, "write", fail)
    with pytest.raises(UserError, match=r"cannot write the export .* No space left"):
        export.export_model(Drift(), tmp_path, 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("largest,sizes", [(1, [1]), (4, [1, 2, 4]), (12, [1, 2, 4, 8, 12])])
def test_allowed_batch_sizes_end_in_the_largest(largest, sizes):
    assert export.allowed_batch_sizes(largest) == sizes


@pytest.fixture(scope="module")
def exported_run(small_run, tmp_path_factory):
    """Export {precision: version folder} of one run."""
    base = tmp_path_factory.mktemp("exports")
    return {
        precision: export.export_sampler(
            small_run, base / precision, samples=1, max_batch=1, precision=precision
        )
        for precision in ("float32", "mixed_bfloat16")
    }


@pytest.mark.thorough
def test_a_run_exports_its_moving_averages(small_run, exported_run):
    version = exported_run["float32"]
    config, model, step = load_run(small_run)
    card = json.loads((version / "assets.extra" / "model_card.json").read_text())
    assert card["weights"] == "moving averages" and card["step"] == step == 2
    assert card["configuration"]["model.width"] == config.model.width
    assert "train.run_dir" not in card["configuration"]
    # The plain weights are half of the averages.
    saved = tf.train.load_checkpoint(str(small_run / "checkpoints" / "ckpt-2"))
    average = saved.get_tensor("averages/0/.ATTRIBUTES/VARIABLE_VALUE")
    np.testing.assert_array_equal(model.trainable_variables[0].numpy(), average)
    frames = np.full((1, model.context_frames, *model.image_shape), 90, np.uint8)
    signature = tf.saved_model.load(str(version)).signatures["serving_default"]
    found = signature(frames=tf.constant(frames), seed=tf.constant([5]))["frames"].numpy()
    expected = sampling.sample_videos(model, frames, config.data.horizon, [5]).numpy()
    assert_same_frames(found, expected)


def test_the_card_of_an_evaluated_run_has_its_figures(copying_run, tmp_path):
    run = shutil.copytree(copying_run, tmp_path / "run")
    (run / "evaluation").mkdir()
    (run / "evaluation" / "quick.json").write_text('{"fvd": 123.5}')
    export.export_sampler(run, tmp_path / "base", horizon=1, samples=1, max_batch=1)
    card = json.loads((tmp_path / "base" / "model_card.json").read_text())
    assert card["evaluation"] == {"quick": {"fvd": 123.5}}


@pytest.mark.thorough
def test_bfloat16_by_option_stays_near_float32(exported_run, rng):
    frames, found = rng.integers(0, 256, (1, 2, 8, 8, 1), np.uint8), []
    for precision, version in exported_run.items():
        card = json.loads((version.parent / "model_card.json").read_text())
        assert card["precision"] == precision
        signature = tf.saved_model.load(str(version)).signatures["mean"]
        found.append(signature(frames=tf.constant(frames))["frames"].numpy().astype(int))
    assert 0 < np.abs(found[0] - found[1]).max() <= 12


def test_an_export_has_its_temperature(tmp_path):
    model = Drift()
    version = export.export_model(model, tmp_path, HORIZON, max_batch=1, temperature=0.0)
    card = json.loads((version / "assets.extra" / "model_card.json").read_text())
    assert card["temperature"] == 0.0
    frames = np.full((1, model.context_frames, *model.image_shape), 90, np.uint8)
    signature = tf.saved_model.load(str(version)).signatures["serving_default"]
    found = signature(frames=tf.constant(frames), seed=tf.constant([5]))["frames"].numpy()
    assert_same_frames(found, sampling.sample_videos(model, frames, HORIZON, mean=True).numpy())


@pytest.mark.parametrize("temperature", [-1.0, float("nan"), float("inf"), None, "1"])
def test_a_temperature_or_a_name_that_is_none_is_refused(tmp_path, temperature):
    with pytest.raises(ValueError, match="`temperature` must be at least 0"):
        export.export_model(Drift(), tmp_path, HORIZON, temperature=temperature)
    with pytest.raises(ValueError, match="`name` must be letters"):
        export.export_model(Drift(), tmp_path, HORIZON, name='a"b')
