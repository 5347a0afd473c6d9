"""The page "Futures in a browser": what it is given, of a model in memory and of an export."""

import contextlib
import json
import urllib.error

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageSequence
from serving_tools import HORIZON, contexts, get, rest, started
from tiny_models import GreyDrift

from tfvrnn import config_flags, data, files, media
from tfvrnn.config import Config, DataConfig, ModelConfig, UserError
from tfvrnn.models import build_model
from tfvrnn.sampling import sample_videos
from tfvrnn.serving import examples, in_memory
from tfvrnn.serving.errors import Code, Refusal
from tfvrnn.serving.in_memory import LONGEST, InMemory
from tfvrnn.serving.servable import AnyServable
from tfvrnn.serving.server import page
from tfvrnn.serving.server.demo import DemoServer
from tfvrnn.serving.server.server import listen

SAMPLES = 3
CONFIG = Config(
    model=ModelConfig(image_size=8, channels=1, context_frames=2),
    data=DataConfig(horizon=2, digits=1),
)


@contextlib.contextmanager
def serving(servable):
    server = DemoServer(servable, listen("127.0.0.1", 0), max_request_mb=1, request_timeout=60)
    with started(server):
        yield server


@pytest.fixture(scope="module")
def model():
    return GreyDrift()


@pytest.fixture(scope="module")
def demo(model):
    with serving(InMemory(model, SAMPLES, CONFIG)) as server:
        yield server


def test_the_page_is_served_of_a_model_and_of_an_export(demo, server):
    for path, (name, kind) in page.FILES.items():
        expected = (page.FOLDER / name).read_bytes()
        for one in (demo, server):
            body, headers = get(one, path)
            assert body == expected and headers["Content-Type"] == f"{kind}; charset=utf-8"
            assert "default-src 'none'; script-src 'self'" in headers["Content-Security-Policy"]
            assert headers["X-Content-Type-Options"] == "nosniff"


def test_no_other_file_is_served(demo):
    assert {name for name, _ in page.FILES.values()} == {p.name for p in page.FOLDER.iterdir()}
    for path in (
        "index.html",
        "demo/",
        "demo/../page.py",
        "demo/%2e%2e/page.py",
        "demo//etc/passwd",
    ):
        assert rest(demo, f"/{path}")[0] == 400


def test_the_page_needs_nothing_of_elsewhere_and_writes_no_markup():
    text = "".join(path.read_text() for path in page.FOLDER.iterdir())
    assert not [word for word in ("//www", "http:", "https:", "innerHTML", "eval(") if word in text]
    script = (page.FOLDER / "demo.js").read_text() + (page.FOLDER / "uploads.js").read_text()
    assert script.count("\n") < 400


def test_the_settings_of_a_model_in_memory(demo):
    assert rest(demo, "/demo/model")[1] == {
        "predict": "v1/models/tfvrnn:predict",
        "signature": "samples",
        "context_frames": 2,
        "image_shape": [8, 8, 1],
        "samples": 3,
        "horizon": 10,  # the model's own
        "longest": LONGEST,
        "inputs": ["frames", "horizon", "seed", "temperature"],
        "clips": examples.COUNT,
        "frames_per_second": 8,
    }


def test_a_horizon_beyond_what_may_be_asked_for_is_cut():
    model = GreyDrift()
    model.horizon = LONGEST + 20
    with serving(InMemory(model, SAMPLES, CONFIG)) as server:
        settings = rest(server, "/demo/model")[1]
    assert settings["horizon"] == settings["longest"] == LONGEST


def test_the_settings_of_an_export_have_what_it_fixed(server):
    found = rest(server, "/demo/model")[1]
    assert found["inputs"] == ["frames", "seed"]
    assert (found["horizon"], found["longest"], found["samples"]) == (HORIZON, HORIZON, 2)
    assert found["clips"] == 0  # its card names no dataset


def test_example_clips_are_the_first_test_videos(demo):
    longest = config_flags.replace(CONFIG, {"data.horizon": LONGEST})
    expected = data.first_videos(longest.data, CONFIG.model, "test", examples.COUNT)
    for number, clip in enumerate(expected):
        assert get(demo, f"/demo/clips/{number}")[0] == clip.tobytes()
    status, body = rest(demo, f"/demo/clips/{examples.COUNT}")
    assert status == 404
    assert body["error"] == "the number of a clip must be below 4. Received: 4"


def test_a_card_that_leads_to_no_clips_gives_none(tmp_path):
    missing = config_flags.replace(CONFIG, {"data.dataset": "bair", "data.data_dir": str(tmp_path)})
    for configuration in (config_flags.values(missing), {"data.unknown": 1}):
        assert len(examples.of_card({"configuration": configuration})) == 0
    assert len(examples.of_card({})) == 0
    read_back = json.loads(json.dumps(config_flags.values(CONFIG)))
    assert examples.of_card({"configuration": read_back}).shape == (4, 2 + LONGEST, 8, 8, 1)


def test_a_small_dataset_shows_the_clips_that_it_has(monkeypatch):
    def first_videos(data, model, split, count):
        if count > 2 or data.horizon == LONGEST:
            raise UserError("fewer, or shorter")
        return np.zeros((count, 2 + data.horizon, 8, 8, 1), np.uint8)

    monkeypatch.setattr(examples, "first_videos", first_videos)
    other = config_flags.replace(CONFIG, {"data.seed": 77})  # not remembered
    found = examples.of_card({"configuration": config_flags.values(other)})
    assert found.shape == (2, 2 + CONFIG.data.horizon, 8, 8, 1)


def test_clips_that_came_with_a_preset_are_shown(tmp_path, rng):
    frames = rng.integers(0, 256, (2, 5, 8, 8, 1), np.uint8)
    build_model(ModelConfig("copy_last", image_size=8, channels=1)).save_to_preset(tmp_path)
    files.write_arrays(tmp_path / "clips.npz", {"frames": frames})
    with serving(in_memory.load(tmp_path, SAMPLES)) as demo:
        assert rest(demo, "/demo/model")[1]["clips"] == 2
        assert get(demo, "/demo/clips/1")[0] == frames[1].tobytes()


def ask(demo, **inputs):
    inputs = {"frames": contexts(1).tolist(), "seed": [7], "horizon": [5], "temperature": [0.5]} | {
        name: [value] for name, value in inputs.items()
    }
    return rest(demo, body={"signature_name": "samples", "inputs": inputs})


def test_a_request_chooses_seed_horizon_and_temperature(demo, model):
    for seed, horizon, temperature in ((7, 5, 0.5), (2**31 - 1, LONGEST, 1.0)):
        status, body = ask(demo, seed=seed, horizon=horizon, temperature=temperature)
        seeds = seed + np.arange(SAMPLES)[None]
        expected = sample_videos(model, contexts(1), horizon, seeds, temperature=temperature)
        assert status == 200
        np.testing.assert_array_equal(body["outputs"], media.to_uint8(expected.numpy()))
    still = np.array(ask(demo, temperature=0.0)[1]["outputs"])
    assert (still == contexts(1)[:, None, -1:]).all()


@pytest.mark.parametrize(
    "inputs,reason",
    [
        ({"horizon": 0}, "`horizon` must lie in 1 to 100. Received: 0"),
        ({"horizon": LONGEST + 1}, "`horizon` must lie in 1 to 100. Received: 101"),
        ({"temperature": -1.0}, "`temperature` must be at least 0. Received: -1.0"),
        ({"temperature": float("nan")}, "`temperature` must be at least 0. Received: nan"),
        ({"temperature": "warm"}, "`temperature` must be numbers of type float32"),
    ],
)
def test_what_a_model_in_memory_refuses(demo, inputs, reason):
    status, body = ask(demo, **inputs)
    assert status == 400 and reason in body["error"]


def test_a_model_in_memory_takes_one_row(demo):
    two = {"frames": contexts(2).tolist(), "seed": [1, 2], "horizon": [3, 3], "temperature": [1, 1]}
    status, body = rest(demo, body={"signature_name": "samples", "inputs": two})
    assert status == 400 and "a batch must have 1 to 1 rows. Received: 2" in body["error"]


@pytest.fixture
def videos():
    """A context, and three futures of four frames; of few greys, which a GIF keeps."""
    drawn = np.random.default_rng(0).integers(0, 8, (2 + 3 * 4, 8, 8, 1), np.uint8) * 36
    return drawn[:2], drawn[2:].reshape(3, 4, 8, 8, 1)


def test_a_gif_shows_futures_side_by_side(demo, videos, tmp_path):
    context, futures = videos
    body, headers = get(demo, "/demo/gif?futures=3", context.tobytes() + futures.tobytes())
    assert headers["Content-Type"] == "image/gif"
    (tmp_path / "futures.gif").write_bytes(body)
    found = media.read_video(tmp_path / "futures.gif")
    np.testing.assert_array_equal(found, media.side_by_side(context, futures, 16))
    with Image.open(tmp_path / "futures.gif") as image:
        lasts = [frame.info["duration"] for frame in ImageSequence.Iterator(image)]
    assert sum(lasts) == 750 and len(lasts) == 6  # 8 frames per second


def test_many_frames_are_enlarged_less(videos, tmp_path, monkeypatch):
    context, futures = videos
    monkeypatch.setattr(page, "GIF_PIXELS", 3 * 3 * (context.size + futures.size))
    sampler = page.Sampler((2, 8, 8, 1), 3, -1, {"frames", "seed"})
    (tmp_path / "a.gif").write_bytes(
        page.to_gif(context.tobytes() + futures.tobytes(), "3", sampler)
    )
    found = media.read_video(tmp_path / "a.gif")
    np.testing.assert_array_equal(found, media.side_by_side(context, futures, 3))


@pytest.mark.parametrize(
    "count,size",
    [
        ("", 14 * 64), ("0", 14 * 64), ("-3", 14 * 64), ("4", 14 * 64), ("9" * 5000, 14 * 64),
        ("3", 13 * 64), ("3", 14 * 64 - 1), ("3", 2 * 64), ("3", 64), ("3", 0),
        ("1", (3 + LONGEST) * 64),
    ],
)  # fmt: skip
def test_bytes_that_are_no_futures_are_refused(demo, count, size):
    status, body = rest(demo, f"/demo/gif?futures={count}", text=bytes(size))
    assert status == 400 and ("`futures` must lie in" in body["error"] or "hold" in body["error"])


def test_a_gif_of_more_bytes_than_a_request_may_have_is_refused(demo):
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(demo, "/demo/gif?futures=3", bytes(2**20 + 1))
    with refused.value:
        assert refused.value.code == 413


def test_a_signature_of_another_kind_is_refused():
    servable = AnyServable()
    servable.signature_defs = {}
    with pytest.raises(Refusal, match='key "samples" not found'):
        page.sampler_of(servable)
    servable.signature_defs = InMemory(GreyDrift(), SAMPLES).signature_defs
    assert page.sampler_of(servable).context_shape == (2, 8, 8, 1)
    servable.signature_defs["samples"].inputs["action"].dtype = tf.float32.as_datatype_enum
    with pytest.raises(Refusal, match="does not draw futures of a video") as refused:
        page.sampler_of(servable)
    assert refused.value.code is Code.FAILED_PRECONDITION


def test_a_run_and_a_preset_are_loaded(copying_run, tmp_path):
    build_model(ModelConfig(family="copy_last", image_size=8)).save_to_preset(tmp_path / "preset")
    preset = in_memory.load(tmp_path / "preset", 2)
    assert preset.card == {"horizon": 10, "temperature": 1.0}
    run = in_memory.load(copying_run, 2)
    assert run.card["horizon"] == 2 and run.card["configuration"]["model.image_size"] == 8
    run.warm_up()
