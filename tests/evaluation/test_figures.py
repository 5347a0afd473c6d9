import numpy as np

from tfvrnn.evaluation.figures import summarize
from tfvrnn.metrics import bootstrap_interval


def measured(**changes):
    values = np.array([[[1.0, 3.0], [4.0, 4.0]], [[5.0, 7.0], [0.0, 0.0]]])  # video, sample, time
    return {
        "ssim": values,
        "psnr": values,
        "lpips": values,
        "spread": np.array([[1.0, 2.0], [3.0, 4.0]]),
        "reconstruction": np.array([10.0, 30.0]),
        "kl_1": np.array([4.0, 8.0]),
        "kl_4": np.array([0.0, 0.0]),
        "channels_1": np.array([[0.5, 0.0], [0.1, 0.005]]),
        "channels_4": np.zeros((2, 3)),
    } | changes


def test_best_mean_and_worst_of_the_samples():
    figures = summarize(measured(), 2)
    best, worst = figures["ssim"]["best"], figures["ssim"]["worst"]
    expected = {"mean": 5.0, "deviation": 1.0, "interval": [4.0, 6.0], "curve": [4.5, 5.5]}
    assert best == expected  # a quarter of the resamples is only 4, another only 6
    assert worst["curve"] == [0.5, 1.5]
    assert figures["ssim"]["mean"]["curve"] == [2.5, 3.5]
    assert figures["lpips"]["best"] == worst and figures["lpips"]["worst"] == best


def test_nats_are_by_frame_and_channels_in_use_are_counted():
    figures = summarize(measured(), 2)
    assert figures["reconstruction"] == 10.0 and figures["kl"] == 3.0
    assert figures["levels"]["1"] == {"nats": 3.0, "active": 1, "channels": 2}
    assert figures["levels"]["4"] == {"nats": 0.0, "active": 0, "channels": 3}
    assert summarize(measured(), 4)["levels"]["1"]["nats"] == 1.5  # with the context frames counted
    assert figures["spread"] == {"mean": 2.5, "interval": [1.5, 3.5], "curve": [2.0, 3.0]}
    assert figures["fvd"] is figures["kvd"] is figures["fvd_infinity"] is None
    assert summarize(measured(), 2, futures=1)["spread"] is None  # one future has none


def test_intervals_are_the_bootstraps_over_videos(rng):
    values = rng.normal(size=(30, 1, 4))
    terms = rng.gamma(2.0, size=30)
    figures = summarize(measured(ssim=values, reconstruction=terms, kl_1=2 * terms, kl_4=terms), 2)
    expected = list(bootstrap_interval(values.mean(axis=(1, 2))))
    np.testing.assert_allclose(figures["ssim"]["best"]["interval"], expected, rtol=1e-12)
    expected = list(bootstrap_interval(terms / 2))
    np.testing.assert_allclose(figures["intervals"]["reconstruction"], expected, rtol=1e-12)
    expected = list(bootstrap_interval(3 * terms / 2))
    np.testing.assert_allclose(figures["intervals"]["kl"], expected, rtol=1e-12)


def test_without_latents_the_kl_is_zero_with_an_interval_of_no_width():
    bare = {name: values for name, values in measured().items() if not name.startswith("kl_")}
    figures = summarize(bare, 2)
    assert figures["kl"] == 0 and figures["intervals"]["kl"] == [0, 0]


def test_a_log_density_has_bits_per_dimension():
    figures = summarize(measured(), 2, density_dimensions=4)
    assert figures["bits_per_dimension"] == 13.0 / (4 * np.log(2.0)) + np.log2(255.0)
    low, high = figures["intervals"]["bits_per_dimension"]  # (10 + 4) / 2 and (30 + 8) / 2 nats
    expected = np.array([7.0, 19.0]) / (4 * np.log(2.0)) + np.log2(255.0)
    np.testing.assert_allclose([low, high], expected)
    assert summarize(measured(), 2)["bits_per_dimension"] is None


def test_distances_are_repeated_over_the_samples(rng):
    real = rng.normal(size=(40, 3))
    generated = np.stack([real, real + 2.0], axis=1)
    figures = summarize(measured(real=real, generated=generated), 2)
    np.testing.assert_allclose(figures["fvd"]["values"], [0, 12], atol=1e-3)
    np.testing.assert_allclose(figures["fvd"]["mean"], 6, atol=1e-3)
    np.testing.assert_allclose(figures["fvd"]["deviation"], 6, atol=1e-3)
    assert figures["fvd"]["videos"] == 40
    np.testing.assert_allclose(figures["fvd_infinity"]["values"][1], 12, rtol=0.3)
