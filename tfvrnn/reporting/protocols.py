"""Protocols as JSON: read, compared and named."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import tfvrnn
from tfvrnn import files
from tfvrnn.config import UserError, expanded


def protocol_hash(protocol: dict) -> str:
    """Return 16 digits that name a protocol."""
    return hashlib.sha256(json.dumps(protocol, sort_keys=True).encode()).hexdigest()[:16]


def read_json(path: str | Path) -> dict:
    """Read the content of a result's file.

    Raises:
        UserError: no such file, or no result in it.
    """
    try:
        found = files.read_json(expanded(path))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise UserError(f"{path} holds no result")
    return found


def section(values: dict, name: str) -> dict:
    """Return a part of a protocol, or an empty one if it is missing."""
    found = values.get(name)
    return found if isinstance(found, dict) else {}


def differences(
    ours: dict, theirs: dict, sections: Sequence[str] = ("data", "settings")
) -> list[str]:
    """List the entries of `sections` that differ, such as 'settings.samples: 8, 100'."""
    found = []
    for name in sections:
        parts = [section(protocol, name) for protocol in (ours, theirs)]
        for entry in sorted(parts[0].keys() | parts[1].keys()):
            pair = [part.get(entry) for part in parts]
            if pair[0] != pair[1]:
                found.append(f"{name}.{entry}: {pair[0]}, {pair[1]}")
    return found


def code_digest() -> str:
    """Compute the sha256 of the package's source files."""
    whole, root = hashlib.sha256(), Path(tfvrnn.__file__).parent
    for path in sorted(root.rglob("*.py")):
        whole.update(path.relative_to(root).as_posix().encode())
        whole.update(path.read_bytes())
    return whole.hexdigest()
