import keras
import numpy as np
import pytest
import tensorflow as tf
from marks import thorough

from tfvrnn.config import ModelConfig
from tfvrnn.models import build_model

SMALL = dict(image_size=16, channels=1, width=8, groups=2, latent_resolutions=(1, 4, 8))
HORIZON = 3


@pytest.fixture(scope="module")
def model():
    model = build_model(ModelConfig(**SMALL), seed=3)
    awaken(model)
    return model


@pytest.fixture(scope="module")
def fed_back():
    """Make a model whose levels see their own earlier latents, with channels unlike the encoder's.

    Its decoder sees the last frame's maps and all coarser latents, and composes frames of the last
    frame's pixels.
    """
    options = {"latent_feedback": "own", "latent_channels": (10, 6, 4), "advection": 3}
    config = ModelConfig(**SMALL, **options, decoder_skips=True, dense_decoder=True)
    model = build_model(config, seed=3)
    awaken(model)
    return model


@pytest.fixture(scope="module")
def computed(model):
    """Compute (frames, noise, terms, predictions) of the model, for all tests that need them."""
    frames, noise = make_inputs(model)
    return frames, noise, *model.training_terms(frames, noise)


@pytest.fixture(params=[thorough("model"), "fed_back"])
def either(request):
    return request.getfixturevalue(request.param)


def awaken(model):
    """Move the latents' last scales off 0, their start, where nothing depends on anything."""
    rng = np.random.default_rng(1)
    for level in [*model.prior_levels, *model.posterior_levels]:
        level.head.norm.scale.assign(rng.normal(1.0, 0.1, size=level.head.norm.scale.shape))


def make_inputs(model, batch=2, horizon=HORIZON, seed=0):
    rng = np.random.default_rng(seed)
    frames = rng.uniform(size=(batch, model.context_frames + horizon, *model.image_shape))
    noise = [rng.normal(size=shape) for shape in model.noise_shapes(batch, horizon)]
    return tf.constant(frames, tf.float32), [tf.constant(z, tf.float32) for z in noise]


@pytest.mark.parametrize(
    "options,parameters",
    [
        (dict(), 139_163_971),
        thorough(dict(context_frames=5), 145_025_347),
        thorough(dict(context_frames=10), 154_794_307),
        (dict(width=16), 8_734_291),
        (dict(width=16, image_size=32), 2_346_195),
    ],
)
def test_number_of_parameters_at_the_papers_sizes(options, parameters):
    assert build_model(ModelConfig(**options)).count_params() == parameters


def test_terms_sum_latent_kl_and_the_reconstruction(model, computed):
    frames, noise, terms, predictions = computed
    assert set(terms) == {"reconstruction", "kl_1", "kl_4", "kl_8"}
    expected = np.abs(frames[:, 2:] - predictions).sum(axis=(1, 2, 3, 4))
    np.testing.assert_allclose(terms["reconstruction"], expected, rtol=1e-5)
    for resolution, kl in model.latent_kl(frames, noise).items():
        assert kl.shape == (2, HORIZON, resolution, resolution, dict(model.channels)[resolution])
        np.testing.assert_allclose(
            terms[f"kl_{resolution}"], tf.reduce_sum(kl, axis=(1, 2, 3, 4)), rtol=1e-5
        )
        assert np.all(terms[f"kl_{resolution}"] > 0)


@pytest.mark.parametrize(
    "kind,loss",
    [
        ("l1", lambda x, y: np.abs(x - y)),
        ("l2", lambda x, y: (x - y) ** 2),
        ("bce", lambda x, y: -x * np.log(y) - (1 - x) * np.log(1 - y)),
    ],
)
def test_reconstruction_terms(kind, loss):
    model = build_model(ModelConfig(**SMALL, reconstruction=kind))
    frames, noise = make_inputs(model)
    terms, predictions = model.training_terms(frames, noise)
    future = frames[:, 2:].numpy()
    expected = loss(future, predictions.numpy()).sum(axis=(1, 2, 3, 4))
    np.testing.assert_allclose(terms["reconstruction"], expected, rtol=1e-4)
    given = model.reconstruction_term(future, predictions)
    np.testing.assert_allclose(given, expected, rtol=1e-4)


@pytest.mark.parametrize("kind", ["l1", thorough("l2")])
def test_a_perfect_copy_costs_nothing(kind):
    model = build_model(ModelConfig(**SMALL, reconstruction=kind))
    frames = tf.constant([[[[[0.0], [1.0]]]]])
    assert float(model.reconstruction_term(frames, frames)[0]) == 0.0


def test_begin_render_observe_give_the_frames_of_training_terms(either):
    model = either
    frames, noise = make_inputs(model)
    _, predictions = model.training_terms(frames, noise)
    latents, _ = model.infer_latents(frames, noise)
    state = model.begin(frames[:, :2])
    for t in range(HORIZON):
        state, frame = model.render(state, [z[:, t] for z in latents])
        np.testing.assert_allclose(frame, predictions[:, t], atol=1e-4)
        state = model.observe(state, frames[:, 2 + t])


@pytest.mark.thorough
@pytest.mark.parametrize("horizon", [1, HORIZON])
def test_seeing_the_true_frames_is_teacher_forcing(either, horizon):
    frames, noise = make_inputs(either, horizon=horizon)
    expected = either.training_terms(frames, noise)
    found = either.training_terms(frames, noise, seen=frames)
    for a, b in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_the_prior_and_the_decoder_see_other_frames_and_the_posterior_the_truth(fed_back):
    frames, noise = make_inputs(fed_back)
    changed = np.array(frames)
    changed[:, 3] = 1 - changed[:, 3]  # the second frame to predict
    own, before = fed_back.training_terms(frames, noise)
    terms, after = fed_back.training_terms(frames, noise, seen=tf.constant(changed))
    np.testing.assert_allclose(before[:, :2], after[:, :2], atol=1e-6)
    # Most of a frame is the one before it, here the changed one.
    assert np.abs(before[:, 2] - after[:, 2]).mean() > 0.2
    # The latents are the same; only the prior that they are compared with differs.
    assert all(np.all(terms[name] != own[name]) for name in ("kl_1", "kl_4", "kl_8"))
    parts = [fed_back._encode_parts(frames, seen) for seen in (tf.constant(changed), None)]
    for a, b in zip(*(fed_back._infer_posteriors(x, noise)[0] for x in parts), strict=True):
        np.testing.assert_array_equal(a, b)


def test_step_is_draw_render_observe(either):
    model = either
    frames, noise = make_inputs(model)
    noise = [z[:, 0] for z in noise]
    start = model.begin(frames[:, :2])
    state, frame = model.step(start, noise)
    drawn, latents = model.draw(start, noise)
    rendered, expected = model.render(drawn, latents)
    observed = model.observe(rendered, expected)
    np.testing.assert_array_equal(frame, expected)
    for a, b in zip(tf.nest.flatten(state), tf.nest.flatten(observed)):
        np.testing.assert_array_equal(a, b)


def test_mean_takes_latents_at_their_means(model):
    frames, noise = make_inputs(model)
    start = model.begin(frames[:, :2])
    _, of_zero_noise = model.draw(start, [tf.zeros_like(z[:, 0]) for z in noise])
    _, mean = model.draw(start, None, mean=True)
    np.testing.assert_allclose(mean[0], of_zero_noise[0], atol=1e-6)


@pytest.mark.parametrize("t", [thorough(2), 3, thorough(4)])
def test_changing_a_frame_leaves_predictions_up_to_it_unchanged_but_for_its_latents(
    model, computed, t
):
    """Frame t reaches no prediction of frames < t, and that of frame t only through z_t."""
    frames, noise, _, before = computed
    changed = frames.numpy()
    changed[:, t] = np.random.default_rng(5).uniform(size=changed[:, t].shape)
    _, after = model.training_terms(changed, noise)
    np.testing.assert_allclose(before[:, : t - 2], after[:, : t - 2], atol=1e-6)
    assert np.abs(before[:, t - 2] - after[:, t - 2]).max() > 1e-4

    # With the latents held, frame t does not reach its own prediction either.
    latents = dict(zip(model.latent_resolutions, model.infer_latents(frames, noise)[0]))

    def decode(x):
        maps = model._encode(tf.constant(x))
        context = {r: m[:, :2] for r, m in maps.items()}
        begun = model._begin(model.decoder_begins, sorted(maps), context)
        seen = {r: m[:, 1:-1] for r, m in maps.items()}
        return model.decoder.sequence(seen, latents, begun)

    before, after = decode(frames), decode(changed)
    np.testing.assert_allclose(before[:, : t - 1], after[:, : t - 1], atol=1e-5)


def test_the_prior_never_sees_the_frame_it_predicts(model):
    """d KL_t / d frame_t flows only through the posterior: the prior's part has no gradient."""
    frames, _ = make_inputs(model)
    with tf.GradientTape() as tape:
        tape.watch(frames)
        maps = model._encode(frames)
        context = {r: m[:, :2] for r, m in maps.items()}
        begun = model._begin(model.prior_begins, model.latent_resolutions, context)
        means = []
        for k, resolution in enumerate(model.latent_resolutions):
            level = model.prior_levels[k]
            seen = maps[resolution][:, 1:-1]
            hidden = level.hidden_sequence(seen, begun[k])
            lower = [
                tf.zeros((2, q, q, dict(model.channels)[q])) for q in model.latent_resolutions[:k]
            ]
            means.append(tf.reduce_sum(level.distribution(hidden[:, 1], lower).mean ** 2))
        total = tf.add_n(means)
    gradient = tape.gradient(total, frames)
    # Step 1 predicts frame 3: it sees frames 0 to 2.
    assert np.all(np.abs(gradient[:, 3:]) == 0)
    assert np.all(np.abs(gradient[:, :3]).max(axis=(0, 2, 3, 4)) > 0)


@pytest.mark.parametrize("network", ["prior_levels", "posterior_levels"])
def test_lower_latents_reach_every_higher_level(model, network):
    rng = np.random.default_rng(0)
    channels = dict(model.channels)
    for k, resolution in enumerate(model.latent_resolutions):
        level = getattr(model, network)[k]
        hidden = tf.constant(
            rng.normal(size=(2, resolution, resolution, channels[resolution])), tf.float32
        )
        lower = [
            tf.constant(rng.normal(size=(2, q, q, channels[q])), tf.float32)
            for q in model.latent_resolutions[:k]
        ]
        with tf.GradientTape() as tape:
            tape.watch(lower)
            loss = tf.reduce_sum(level.distribution(hidden, lower).mean ** 2)
        for gradient in tape.gradient(loss, lower):
            assert np.abs(gradient).max() > 0


def test_the_priors_higher_levels_are_conditioned_on_the_posteriors_samples(model):
    frames, noise = make_inputs(model)
    other = [noise[0] + 1.0, *noise[1:]]
    first, second = model.latent_kl(frames, noise), model.latent_kl(frames, other)
    np.testing.assert_array_equal(first[1], second[1])
    for resolution in (4, 8):
        assert np.abs(first[resolution] - second[resolution]).max() > 1e-5


@pytest.mark.parametrize("latent_feedback", ["none", thorough("own")])
def test_posterior_almost_equals_prior_at_the_start(latent_feedback):
    model = build_model(ModelConfig(**SMALL, latent_feedback=latent_feedback))
    frames, noise = make_inputs(model)
    terms, _ = model.training_terms(frames, noise)
    assert sum(float(tf.reduce_mean(v)) for k, v in terms.items() if k != "reconstruction") < 0.1


def steps_of_a_level(model, network, frames, latents, level):
    """Compute a level's means step by step, with its own and the lower levels' samples."""
    level_of = getattr(model, f"{network}_levels")[level]
    maps = model._encode(frames)[model.latent_resolutions[level]]
    begins = getattr(model, f"{network}_begins")
    state, means = begins[level](maps[:, :2]), []
    for t in range(HORIZON):
        earlier = latents[level][:, t - 1] if t else tf.zeros_like(latents[level][:, 0])
        seen = maps[:, 2 + t] if network == "posterior" else maps[:, 1 + t]
        lower = [z[:, t] for z in latents[:level]]
        distribution, state = level_of(seen, state, lower, earlier)
        means.append(distribution)
    return means


@pytest.mark.parametrize("level", [thorough(0), thorough(1), 2])
def test_feedback_over_all_frames_equals_steps(fed_back, level):
    frames, noise = make_inputs(fed_back)
    latents, kl = fed_back.infer_latents(frames, noise)
    posterior, prior = (
        steps_of_a_level(fed_back, network, frames, latents, level)
        for network in ("posterior", "prior")
    )
    found = kl[fed_back.latent_resolutions[level]]
    for t in range(HORIZON):
        z = posterior[t].sample(noise[level][:, t])
        np.testing.assert_allclose(latents[level][:, t], z, atol=1e-4)
        expected = posterior[t].kl_divergence(prior[t])
        np.testing.assert_allclose(found[:, t], expected, atol=1e-3, rtol=1e-3)


def test_the_prior_sees_its_own_earlier_latent_and_not_the_frame(fed_back):
    """z_{t-1} reaches the prior at t, at every level; x_t and z_t do not."""
    frames, noise = make_inputs(fed_back)
    latents, _ = fed_back.infer_latents(frames, noise)
    for level in range(3):
        with tf.GradientTape() as tape:
            tape.watch([frames, *latents])
            means = steps_of_a_level(fed_back, "prior", frames, latents, level)
            loss = tf.reduce_sum(means[1].mean ** 2)  # step 1 predicts frame 3
        by_frame, *by_latent = tape.gradient(loss, [frames, *latents])
        assert np.all(np.abs(by_frame[:, 3:]) == 0)
        assert np.abs(by_frame[:, 2]).max() > 0
        own = np.abs(by_latent[level]).max(axis=(0, 2, 3, 4))
        assert own[0] > 0 and np.all(own[1:] == 0)


def test_a_rollout_does_not_depend_on_keras_float_type(fed_back):
    frames, noise = make_inputs(fed_back)
    noise = [z[:, 0] for z in noise]
    expected = fed_back.step(fed_back.begin(frames[:, :2]), noise)
    floatx = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        found = fed_back.step(fed_back.begin(frames[:, :2]), noise)
    finally:
        keras.config.set_floatx(floatx)
    for a, b in zip(tf.nest.flatten(expected), tf.nest.flatten(found)):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_drawn_latent_reaches_the_next_draw_through_the_prior(fed_back):
    frames, noise = make_inputs(fed_back)
    noise = [z[:, 0] for z in noise]
    state = fed_back.begin(frames[:, :2])
    for z, shape in zip(state.latents, fed_back.noise_shapes(2, 1)):
        assert z.shape == (shape[0], *shape[2:]) and not np.any(z)
    state, latents = fed_back.draw(state, noise)
    rendered, _ = fed_back.render(state, latents)
    _, expected = fed_back.draw(rendered, noise)
    changed = rendered._replace(latents=tuple(z + 1.0 for z in rendered.latents))
    _, found = fed_back.draw(changed, noise)
    for a, b in zip(expected, found):
        assert np.abs(a - b).max() > 1e-3


@pytest.mark.parametrize("latent_channels", [(10,), thorough((2,)), thorough((64,))])
def test_the_number_of_latent_channels_can_be_chosen(latent_channels):
    options = SMALL | dict(latent_resolutions=(1,), latent_channels=latent_channels)
    model = build_model(ModelConfig(**options))
    assert model.noise_shapes(3, 2) == [(3, 2, 1, 1, *latent_channels)]
    frames, noise = make_inputs(model)
    assert model.latent_kl(frames, noise)[1].shape == (2, HORIZON, 1, 1, *latent_channels)
    # There are at least four values per group at 1x1.
    assert 2 * latent_channels[0] // model.prior_levels[0].head.groups >= 4


def test_each_latent_reaches_the_frame(model, computed):
    frames, noise, _, before = computed
    finest = [*noise[:-1], noise[-1] + 1.0]
    _, after = model.training_terms(frames, finest)
    assert np.abs(before - after).max() > 1e-4


def test_a_video_does_not_depend_on_its_neighbours_in_the_batch(model, computed):
    frames, noise, _, together = computed
    _, alone = model.training_terms(frames[:1], [z[:1] for z in noise])
    np.testing.assert_allclose(together[:1], alone, atol=1e-5)


@pytest.mark.thorough
def test_without_hierarchy_is_the_same_class():
    model = build_model(ModelConfig(**SMALL | dict(latent_resolutions=(1,))))
    frames, noise = make_inputs(model)
    terms, _ = model.training_terms(frames, noise)
    assert set(terms) == {"reconstruction", "kl_1"} and len(noise) == 1


def test_equal_seeds_make_equal_weights():
    first, second = (build_model(ModelConfig(**SMALL), seed=7) for _ in range(2))
    for a, b in zip(first.get_weights(), second.get_weights()):
        np.testing.assert_array_equal(a, b)


@pytest.mark.thorough
@pytest.mark.parametrize("jit_compile", [False, True])
def test_recomputing_the_decoder_gives_the_same_gradients(jit_compile):
    config = ModelConfig(**SMALL | dict(image_size=8, latent_resolutions=(1, 4)))
    model, again = build_model(config, seed=3), build_model(config, remat=True)
    awaken(model)
    again.set_weights(model.get_weights())
    frames, noise = make_inputs(model, horizon=1)

    def gradients(model):
        @tf.function(jit_compile=jit_compile, autograph=False)
        def compute():
            with tf.GradientTape() as tape:
                terms, _ = model.training_terms(frames, noise)
                loss = sum(tf.reduce_sum(term) for term in terms.values())
            return tape.gradient(loss, model.trainable_variables)

        return compute()

    kept, recomputed = gradients(model), gradients(again)
    norm = tf.linalg.global_norm(kept)
    for expected, found in zip(kept, recomputed, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6 * norm, rtol=1e-5)
