"""Images: the frames of a folder in their order, and animated WebP."""

import re
import struct
import warnings
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageSequence, PngImagePlugin, TiffImagePlugin

from tfvrnn.media.errors import VideoError

IMAGES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
FAULTS = (  # of Pillow, for damaged files
    OSError, ValueError, SyntaxError, EOFError, TypeError, LookupError, ArithmeticError,
    struct.error, Image.DecompressionBombError,
)  # fmt: skip
SUBFILE_TYPE = 254  # tag of a TIFF
TURNS = {  # by the orientation in EXIF
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# A point between two numbers is decimal ("0.25"), but not in a longer chain ("12.30.05") and not
# after a letter ("shot.0010"). A minus after a letter, a digit or a bracket is a hyphen.
_SIGN = r"(?:(?<![^\W_])(?<![)\]])-)?"
_NUMBER = re.compile(rf"({_SIGN}(?:(?<![0-9.])[0-9]+\.[0-9]+(?![0-9]*\.[0-9])|[0-9]+))")


def images_in(folder: Path) -> list[Path]:
    """List the images of a folder by name: numbers by value, letters regardless of case.

    2.png comes before 10.png, 0.5.png before 0.75.png, -1.png before 0.png, and frame-1.png before
    frame-2.png. Hidden images (.x) are skipped.
    """
    found = [path for path in folder.iterdir() if path.suffix.lower() in IMAGES]
    found = [path for path in found if not path.name.startswith(".")]
    # Pipes are left out. Broken links stay, so that they are reported.
    found = [path for path in found if path.is_file() or not path.exists()]
    return sorted(found, key=_place)


def _place(path: Path):
    texts_and_numbers = _NUMBER.split(path.stem)  # alternating
    parts = [Decimal(x) if k % 2 else x.casefold() for k, x in enumerate(texts_and_numbers)]
    return parts, path.name


def images(folder: Path) -> Iterator[tuple[None, None, np.ndarray]]:
    """Yield (no time, no duration, frame) of each image in a folder."""
    for path in images_in(folder):
        try:
            with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
                _check_single(image)
                _scale_transparency(image)
                frame = _colours(_upright(image))
        except VideoError as error:
            raise VideoError(f"{path} {error}") from None
        except FAULTS:
            raise VideoError(f"{path} is not an image") from None
        yield None, None, frame


def _check_single(image: Image.Image) -> None:
    """Raise VideoError for a stack of pages or an animation.

    Small copies of the picture do not count: all further pictures of a JPEG, reduced ones of a
    TIFF.
    """
    pages = getattr(image, "n_frames", 1)
    if pages == 1 or image.format not in ("GIF", "PNG", "TIFF", "WEBP"):
        return
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        pages = sum(not _is_reduced(image, page) for page in range(pages))
        image.seek(0)
    if pages > 1:
        raise VideoError(f"has {pages} pictures: split it into files of one picture each")


def _is_reduced(image: TiffImagePlugin.TiffImageFile, page: int) -> bool:
    image.seek(page)
    return bool(image.tag_v2.get(SUBFILE_TYPE, 0) & 1)


def _scale_transparency(image: Image.Image) -> None:
    """Scale the transparent grey of a PNG of 2 or 4 bits. Pillow scales only its pixels."""
    tiles = image.tile if isinstance(image, PngImagePlugin.PngImageFile) else ()
    bits = {"L;2": 2, "L;4": 4}.get(str(tiles[0].args) if tiles else "")
    if bits and "transparency" in image.info:
        image.info["transparency"] *= 255 // (2**bits - 1)


def _upright(image: Image.Image) -> Image.Image:
    """Turn and mirror an image as its EXIF says. Damaged EXIF is ignored."""
    image.load()  # a PNG may have its EXIF after the pixels
    try:
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except FAULTS:
        return image
    return image if turn is None else image.transpose(turn)


def _colours(image: Image.Image) -> np.ndarray:
    if image.mode == "F":
        raise VideoError("has floating-point pixels, and does not say which value is white")
    if image.mode.startswith("I"):  # more than 8 bits, which Pillow would clip, not scale
        return np.repeat(_grey(image)[..., None], 3, axis=-1)
    if image.has_transparency_data:
        return on_black(np.asarray(image.convert("RGBA")))
    return np.asarray(image.convert("RGB"))


def _grey(image: Image.Image) -> np.ndarray:
    """Scale an image of 9 to 16 bits to 8 bits, `[H, W]`. Its transparent value becomes black."""
    tags = getattr(image, "tag_v2", {})  # of a TIFF
    bits = min(16, tags.get(TiffImagePlugin.BITSPERSAMPLE, (16,))[0])
    white = 2**bits - 1
    grey = np.asarray(image)
    if grey.min() < 0 or grey.max() > white:
        raise VideoError(f"has integer pixels outside 0 to {white}, the range of {bits} bits")
    scaled = np.round(grey * (255 / white)).astype(np.uint8)
    if tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0:  # zero is white
        scaled = 255 - scaled
    transparent = image.info.get("transparency")
    return scaled if transparent is None else np.where(grey == transparent, np.uint8(0), scaled)


def on_black(picture: np.ndarray) -> np.ndarray:
    """Composite a picture of four channels, the last its opacity, over black."""
    product = picture[..., :3].astype(np.uint16) * picture[..., 3:]
    return ((product + 127) // 255).astype(np.uint8)


def is_animated(path: Path) -> bool:
    """Return whether a file is an animated WebP, which FFmpeg cannot read."""
    if not path.is_file():  # opening a pipe would block
        return False
    with path.open("rb") as file:
        head = file.read(21)
    extended = len(head) == 21 and head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X"
    return extended and bool(head[20] & 2)


def animation(path: Path) -> Iterator[tuple[float, float, np.ndarray]]:
    """Yield (seconds, duration, frame) of each frame of an animated WebP."""
    try:
        with Image.open(path) as file:
            for image in ImageSequence.Iterator(file):
                image.load()
                times = image.info["timestamp"] / 1000, image.info["duration"] / 1000
                yield *times, _colours(image)
    except FAULTS:
        raise VideoError(f"{path} is damaged") from None
