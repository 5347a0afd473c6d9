import io

import numpy as np
from PIL import Image

from tfvrnn import media


def test_strip_lays_time_out_to_the_right_and_videos_below(rng):
    videos = rng.integers(0, 256, (2, 3, 4, 5, 1)).astype(np.uint8)
    picture = media.strip(videos, gap=2)
    assert picture.shape == (2 * 4 + 2, 3 * 5 + 4, 1)
    np.testing.assert_array_equal(picture[6:10, 7:12], videos[1, 1])
    assert np.all(picture[4:6] == 255) and np.all(picture[:, 5:7] == 255)


def test_grid_lays_videos_out_in_rows_and_columns(rng):
    videos = rng.integers(0, 256, (2, 3, 6, 4, 5, 3)).astype(np.uint8)
    video = media.grid(videos, gap=1)
    assert video.shape == (6, 2 * 4 + 1, 3 * 5 + 2, 3)
    np.testing.assert_array_equal(video[:, 5:9, 12:17], videos[1, 2])


def test_gif_keeps_every_frame_size_and_value(rng):
    video = (rng.uniform(size=(5, 8, 6, 1)) > 0.5).astype(np.float32)
    video[2] = video[1]  # equal frames are kept too
    gif = Image.open(io.BytesIO(media.to_gif(video, frames_per_second=4)))
    assert gif.size == (6, 8) and gif.info["loop"] == 0
    durations = []
    for number in range(gif.n_frames):
        gif.seek(number)
        durations.append(gif.info["duration"])
    assert sum(durations) == 5 * 250
    gif.seek(0)
    np.testing.assert_array_equal(np.asarray(gif.convert("L")) > 127, video[0, ..., 0] > 0.5)


def test_enlarge_repeats_pixels():
    frames = np.arange(4).reshape(1, 2, 2, 1)
    assert media.enlarge(frames, 2)[0, :, :, 0].tolist() == [[0, 0, 1, 1]] * 2 + [[2, 2, 3, 3]] * 2


def test_to_uint8_rounds_and_clips():
    np.testing.assert_array_equal(media.to_uint8([-1.0, 0.0, 0.5, 1.0, 2.0]), [0, 0, 128, 255, 255])
