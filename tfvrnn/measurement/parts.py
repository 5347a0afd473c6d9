"""Results for many items, kept in parts, so that an interrupted measurement continues."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tfvrnn import files
from tfvrnn.reporting.protocols import code_digest

AT_ONCE = 32  # items of a part
Arrays = dict[str, np.ndarray]


class Parts:
    """A folder of parts, each named after everything on which it depends.

    The name of a part's file is a hash of all that, so a part is used again only for the same
    videos, choices and version. A damaged part is computed again.

    Args:
        folder: of the parts, created if it is missing.
    """

    def __init__(self, folder: Path):
        self.folder, self.code = folder, code_digest()
        folder.mkdir(parents=True, exist_ok=True)

    def compute(
        self,
        kind: dict,
        keys: Sequence[str],
        work: Callable[[Sequence[int]], Iterator[Arrays]],
        title: str,
    ) -> Arrays:
        """Compute {name: array of all items}.

        Args:
            kind: describes the computation, in values for JSON.
            keys: at least one. Key k names everything on which the values of item k depend.
            work: takes indices of items, and yields their arrays in portions, in order.
            title: of the progress bar.
        """
        blocks = [range(k, min(k + AT_ONCE, len(keys))) for k in range(0, len(keys), AT_ONCE)]
        paths = [self._path(kind, [keys[number] for number in block]) for block in blocks]
        found = []
        with tqdm(total=len(keys), desc=title, unit="clip", smoothing=0.1) as progress:
            for block, path in zip(blocks, paths):
                part = _read(path, len(block))
                if part is None:
                    portions = []
                    for portion in work(block):
                        portions.append(portion)
                        progress.update(len(next(iter(portion.values()))))
                    part = _joined(portions)
                    files.write_arrays(path, part)
                else:
                    progress.update(len(block))
                found.append(part)
        return _joined(found)

    def _path(self, kind: dict, keys: list[str]) -> Path:
        text = json.dumps([self.code, kind, keys], sort_keys=True)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:40]}.npz"


def _joined(parts: list[Arrays]) -> Arrays:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _read(path: Path, items: int) -> Arrays | None:
    """Read a part, or return None if it was not computed or its file is damaged."""
    try:
        part = files.read_arrays(path)
    except (OSError, ValueError):
        return None
    whole = bool(part) and all(len(array) == items for array in part.values())
    return part if whole else None
