"""Check whether a file holds all the data that it announces; a half-copied file does not."""

import os
from pathlib import Path

_SEGMENT, _CLUSTER = 0x18538067, 0x1F43B675  # of Matroska
_BOXES = (b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"pnot")


def ends_prematurely(path: str | Path) -> bool:
    """Check whether an MP4, MOV, Matroska, WebM, AVI or GIF lacks a part of its frames.

    The check uses the sizes that the file states. A file that states none (a live recording), or is
    of another kind, counts as whole.
    """
    with Path(path).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(12)
        file.seek(0)
        if head[4:8] in _BOXES:
            return _boxes_end(file, size)
        if head[:4] == b"\x1a\x45\xdf\xa3":
            return _elements_end(file, size)
        if head[:4] == b"RIFF" and head[8:] == b"AVI ":
            return _chunks_end(file, size)
        if head[:4] == b"GIF8":
            return _blocks_end(file)
    return False


def _boxes_end(file, size: int) -> bool:
    """Check the boxes of MP4 and MOV: frames (mdat) and their description (moov, moof)."""
    place = 0
    while place + 8 <= size:
        file.seek(place)
        head = file.read(16)
        length = int.from_bytes(head[:4])
        if length == 1:
            length = int.from_bytes(head[8:])
        if place + length > size:
            return head[4:8] in (b"moov", b"moof", b"mdat")
        if length < 8:  # 0: to the end of the file
            return False
        place += length
    return False


def _elements_end(file, size: int) -> bool:
    """Check the elements of Matroska and WebM. The outer ones may be of unknown size."""
    place = 0
    while place < size:
        file.seek(place)
        head = file.read(12)
        of_id = 9 - head[0].bit_length()
        of_length = 9 - head[of_id].bit_length() if of_id < len(head) else 9
        if of_id > 4 or of_length > 8:  # not Matroska from here on
            return False
        element = int.from_bytes(head[:of_id])
        most = (1 << 7 * of_length) - 1
        length = int.from_bytes(head[of_id : of_id + of_length]) & most
        place += of_id + of_length
        if length != most:
            place += length
        elif element not in (_SEGMENT, _CLUSTER):
            return False
        if element == _SEGMENT and length != most:  # the segment is the rest of the file
            break
    return place > size


def _chunks_end(file, size: int) -> bool:
    """Check the lists of frames (movi) of AVI."""
    place = 0
    while place + 12 <= size:
        file.seek(place)
        head = file.read(12)
        length = int.from_bytes(head[4:8], "little")
        if head[:4] == b"RIFF":
            place += 12
            continue
        if place + 8 + length > size:
            return head[:4] == b"LIST" and head[8:] == b"movi" and length != 0xFFFFFFFF  # unknown
        place += 8 + length + length % 2
    return False


def _blocks_end(file) -> bool:
    """Check the pictures and extensions of GIF: each is a series of blocks up to an empty one."""
    _skip_colours(file, file.read(13)[10:11])
    kind = file.read(1)
    while kind in (b"!", b","):
        if kind == b",":
            _skip_colours(file, file.read(9)[8:])
        file.read(1)
        length = file.read(1)
        while length not in (b"", b"\0"):
            file.read(length[0])
            length = file.read(1)
        if not length:
            return True
        kind = file.read(1)
    return False


def _skip_colours(file, flags: bytes) -> None:
    """Skip a table of colours, if the flags announce one."""
    if flags and flags[0] & 0x80:
        file.read(3 << (flags[0] & 7) + 1)
