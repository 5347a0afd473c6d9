"""The decoder's inputs. That both of its unrolls agree is tested with the model."""

import keras
import numpy as np
import pytest

from tfvrnn.layers import ConvLSTMState
from tfvrnn.models.decoder import FrameDecoder

CHANNELS = {16: 8, 8: 16, 4: 16, 1: 16}
LATENTS = {1: 10, 4: 6, 8: 4}


@pytest.fixture
def inputs(rng):
    """Make (maps, latents, states) of one frame."""

    def normal(resolution, channels):
        return rng.normal(size=(1, resolution, resolution, channels)).astype(np.float32)

    states = [ConvLSTMState(normal(r, c), normal(r, c)) for r, c in sorted(CHANNELS.items())]
    maps, latents = ({r: normal(r, c) for r, c in x.items()} for x in (CHANNELS, LATENTS))
    return maps, latents, states


def make_decoder(**options):
    keras.utils.set_random_seed(3)
    decoder = FrameDecoder(CHANNELS, LATENTS, 1, groups=2, **options)
    decoder.build({r: (None, r, r, c) for r, c in CHANNELS.items()})
    return decoder


def inputs_of_cells(decoder):
    """Return {resolution: channels that its ConvLSTM sees}."""
    kernels = [cell.inputs_to_gates.conv.kernel for cell in decoder.cells]
    return {r: kernel.shape[2] for (r, _), kernel in zip(decoder.channels, kernels)}


def test_every_resolution_sees_what_the_options_say():
    below = {1: 16, 4: 16, 8: 16, 16: 8}  # the map from the resolution below
    own = {1: 10, 4: 6, 8: 4, 16: 0}
    coarser = {1: 0, 4: 10, 8: 16, 16: 20}
    skips = {1: 0, 4: 16, 8: 16, 16: 8}
    plain = {r: below[r] + own[r] for r in below}
    assert inputs_of_cells(make_decoder()) == plain
    assert inputs_of_cells(make_decoder(skips=True)) == {r: plain[r] + skips[r] for r in plain}
    assert inputs_of_cells(make_decoder(dense=True)) == {r: plain[r] + coarser[r] for r in plain}


def test_a_dense_decoder_repeats_coarse_latents_whatever_their_order(inputs):
    maps, latents, states = inputs
    decoder = make_decoder(dense=True)
    expected, _ = decoder(maps, latents, states)
    found, _ = decoder(maps, dict(reversed(latents.items())), states)
    np.testing.assert_array_equal(found, expected)
    x = np.zeros((1, 16, 16, 1), np.float32)
    seen = np.array(decoder._inputs(16, x, maps, latents))[..., 1:]
    for resolution, start in ((1, 0), (4, 10), (8, 16)):
        latent = latents[resolution]
        repeated = latent.repeat(16 // resolution, axis=1).repeat(16 // resolution, axis=2)
        np.testing.assert_array_equal(seen[..., start : start + latent.shape[-1]], repeated)


@pytest.mark.parametrize("skips", [True, False])
def test_with_skips_it_sees_the_finest_map_of_the_last_frame(inputs, skips):
    maps, latents, states = inputs
    decoder = make_decoder(skips=skips)
    before, _ = decoder(maps, latents, states)
    after, _ = decoder({**maps, 16: maps[16] + 1}, latents, states)
    assert (np.abs(before - after).max() > 1e-4) == skips
