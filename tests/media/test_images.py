import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from tfvrnn import media


@pytest.mark.parametrize(
    "stems",
    [
        "0.25 0.5 0.75 1.25 10",
        "-5 -1.5 -1 0 3",
        "a-1 a-2 a-10",
        "Frame1 frame2 Frame3 FRAME10",
        "2024-01-02 2024-01-10 2024-02-01",
        "x_-2 x_-1 x_0 x_1",
        "t=-0.5 t=0 t=0.25 t=0.5",
        "shot.2 shot.10 shot.100",
        "12.30.5 12.30.10 12.31.1",
        "1.9.1 1.10.1",
        "take1.10 take1.9",
        "take(2)-1 take(2)-2 take(10)-1",
        "a--1 a-0 a-1",
        "1700000000000000001_b 1700000000000000002_a",
        "a a1 a1b b",
    ],
)
def test_the_order_of_names(tmp_path, stems):
    for stem in stems.split():
        (tmp_path / f"{stem}.png").touch()
    assert [path.stem for path in media.images_in(tmp_path)] == stems.split()


def test_hidden_images_are_no_frames(tmp_path):
    for name in ("._0000.png", ".hidden.png", "0000.png", "Thumbs.db"):
        (tmp_path / name).write_bytes(b"x")
    assert [path.name for path in media.images_in(tmp_path)] == ["0000.png"]


@pytest.mark.parametrize("ending", media.IMAGES)
def test_every_kind_of_image_is_read(tmp_path, ending):
    picture = Image.new("RGB", (16, 8), (200, 100, 50))
    picture = picture.convert("L") if ending == ".pgm" else picture
    picture.save(tmp_path / f"0{ending.upper()}")
    [frame] = media.read_video(tmp_path)
    expected = [124] * 3 if ending == ".pgm" else (200, 100, 50)
    np.testing.assert_allclose(frame, np.broadcast_to(expected, (8, 16, 3)), atol=2)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_transparent_pixels_lie_on_black(tmp_path, mode):
    pixels = np.full((2, 4, 4), 255, np.uint8)
    pixels[0, :, 3] = 0
    image, options = Image.fromarray(pixels), {}
    if mode in ("LA", "P"):
        image = image.convert(mode)
    if mode == "P":  # its first colour is transparent
        image = Image.fromarray(np.repeat(np.uint8([[0], [1]]), 4, axis=1), "P")
        image.putpalette([255] * 6)
        options = {"transparency": 0}
    if mode == "RGB":  # one colour is transparent
        pixels[0, :, :3] = 9, 8, 7
        image, options = Image.fromarray(pixels[..., :3]), {"transparency": (9, 8, 7)}
    image.save(tmp_path / "0.png", **options)
    [frame] = media.read_video(tmp_path)
    assert np.all(frame[0] == 0) and np.all(frame[1] == 255)


def test_half_transparent_pixels_are_half_as_bright(tmp_path):
    Image.new("RGBA", (2, 2), (199, 100, 0, 128)).save(tmp_path / "0.png")
    assert media.read_video(tmp_path)[0, 0, 0].tolist() == [100, 50, 0]


def test_a_still_webp_is_not_animated(tmp_path):
    path = tmp_path / "0.webp"
    Image.new("RGBA", (16, 8), (200, 100, 50, 255)).save(path, exif=Image.Exif().tobytes())
    assert path.read_bytes()[12:16] == b"VP8X" and not media.is_animated(path)
    assert media.read_video(tmp_path).shape == (1, 8, 16, 3)


def test_pixels_of_floating_point_are_refused(tmp_path):
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "0.tiff")
    with pytest.raises(media.VideoError, match=r"0\.tiff has floating-point pixels"):
        media.read_video(tmp_path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_images(tmp_path, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    image = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6) * 10)
    image.save(tmp_path / "0.png", exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "0.png")))
    np.testing.assert_array_equal(media.read_video(tmp_path)[0, ..., 0], expected)


@pytest.mark.parametrize(
    "exif", [b"II*\0", b"II+\0\x08\0\0\0\0\0\0\0", b"MM\0*\xff\xff\xff\xff", b"x"]
)
def test_damaged_exif_leaves_the_image_as_it_is(tmp_path, exif):
    image = Image.fromarray(np.full((4, 6, 3), 90, np.uint8))
    for name in ("0.png", "1.jpg"):
        image.save(tmp_path / name, exif=b"Exif\0\0" + exif)
    assert media.read_video(tmp_path).shape == (2, 4, 6, 3)


@pytest.mark.parametrize("value", [-1, 65536, 2**31 - 1])
def test_integer_pixels_beyond_16_bits_are_refused(tmp_path, value):
    Image.fromarray(np.full((4, 4), value, np.int32)).save(tmp_path / "0.tiff")
    with pytest.raises(media.VideoError, match=r"0\.tiff has integer pixels outside 0 to 65535"):
        media.read_video(tmp_path)


@pytest.mark.parametrize("length", [0, 4, 15, 16, 20, 21])
def test_the_stub_of_a_webp_is_one_line(tmp_path, length):
    path = tmp_path / "0.webp"
    path.write_bytes(b"RIFF\x10\0\0\0WEBPVP8X\0\0\0\0\x02"[:length])
    assert media.is_animated(path) == (length == 21)
    with pytest.raises(media.VideoError, match=r"0\.webp"):
        media.read_video(path)


def write_tiff(path, bits, photometric, pixels):
    """Write the grey TIFF `[1, 4]` that Pillow reads and does not write, from its packed bytes."""
    entries = {256: 4, 257: 1, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: 1}
    entries[279] = len(pixels)
    head = b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels
    tags = b"".join(
        struct.pack("<HHII", tag, 3, 1, value) for tag, value in sorted(entries.items())
    )
    path.write_bytes(head + struct.pack("<H", len(entries)) + tags + bytes(4))


@pytest.mark.parametrize(
    "bits,photometric,pixels",
    [(12, 1, "000555aaafff"), (16, 1, "00005555aaaaffff"), (16, 0, "00005555aaaaffff")],
    ids=["12 bits", "16 bits", "16 bits, 0 is white"],
)
def test_a_tiff_says_which_value_is_white(tmp_path, bits, photometric, pixels):
    write_tiff(tmp_path / "0.tif", bits, photometric, bytes.fromhex(pixels))
    [frame] = media.read_video(tmp_path)
    expected = [0, 85, 170, 255] if photometric else [255, 170, 85, 0]
    np.testing.assert_array_equal(frame, np.repeat(expected, 3).reshape(1, 4, 3))


def test_the_transparent_value_of_16_bits_is_black(tmp_path):
    picture = Image.fromarray(np.uint16([[0, 257, 30_000, 65_535]]))
    picture.save(tmp_path / "0.png", transparency=30_000)
    [frame] = media.read_video(tmp_path)
    np.testing.assert_array_equal(frame[0, :, 0], [0, 1, 0, 255])


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_the_transparent_value_of_a_few_bits_is_black(tmp_path, bits):
    most = 2**bits - 1
    # A row of 8 pixels, whose values end with the transparent one.
    values = [*range(most + 1 - 8, most + 1)] if bits == 4 else [0, 0, 0, 0, 0, 0, 0, most]
    row = sum(value << bits * (7 - place) for place, value in enumerate(values))
    head = struct.pack(">IIBBBBB", 8, 1, bits, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"tRNS", struct.pack(">H", most))]
    chunks += [(b"IDAT", zlib.compress(b"\0" + row.to_bytes(bits))), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    ]
    (tmp_path / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    [frame] = media.read_video(tmp_path)
    shown = [round(value * 255 / most) for value in values[:-1]] + [0]
    np.testing.assert_array_equal(frame[0, :, 0], shown)


@pytest.mark.parametrize(
    ("ending", "kind"), [("tif", "TIFF"), ("png", "PNG"), ("webp", "WEBP"), ("png", "GIF")]
)
def test_a_stack_of_pictures_is_no_frame(tmp_path, ending, kind):
    first, *others = (Image.new("L", (8, 8), value) for value in (0, 100, 200))
    first.save(tmp_path / f"0.{ending}", kind, save_all=True, append_images=others)
    with pytest.raises(media.VideoError, match=f"0.{ending} has 3 pictures: split it into files"):
        media.read_video(tmp_path)


def test_a_reduced_copy_of_a_tiff_does_not_count(tmp_path):
    picture = Image.new("L", (8, 8), 100)
    small = picture.resize((2, 2))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    picture.save(tmp_path / "0.tif", save_all=True, append_images=[small])
    [frame] = media.read_video(tmp_path)
    np.testing.assert_array_equal(frame, np.full((8, 8, 3), 100))
