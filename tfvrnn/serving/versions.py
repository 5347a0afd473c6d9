"""The versions of an export: folders of its base folder, named by numbers."""

from pathlib import Path

from tfvrnn.config import UserError


def existing_versions(base: Path) -> list[int]:
    """List the versions of an export, the newest last.

    Raises:
        UserError: there is none.
    """
    if found := versions(base):
        return found
    is_version = base.name.isdigit() and (base / "saved_model.pb").is_file()
    hint = f": it is a version of {base.parent}" if is_version else ""
    raise UserError(f"no version in {base}: no folder there has a number as its name{hint}")


def versions(base: Path) -> list[int]:
    """List the numbers of the versions in a base folder, ascending."""
    return list(version_folders(base))


def version_folders(base: Path) -> dict[int, Path]:
    """Find the versions in a base folder: {number: folder}, ascending.

    A version is a folder whose name is a number that TensorFlow Serving reads: an int64, which may
    begin with zeros. Of 7 and 007, it is 7.
    """
    if not base.is_dir():
        return {}
    folders = [path for path in base.iterdir() if path.is_dir()]
    numbered = [path for path in folders if path.name.isascii() and path.name.isdigit()]
    longest_first = sorted(numbered, key=lambda path: len(path.name), reverse=True)
    found = {int(path.name): path for path in longest_first if int(path.name) < 2**63}
    return dict(sorted(found.items()))


def free_version(base: Path, wanted: int | None) -> int:
    """Return the wanted version, or the number after the newest.

    Raises:
        UserError: the wanted version exists, or no number below 2**63 is left.
    """
    there = versions(base)
    if wanted in there:
        raise UserError(f"version {wanted} is in {base} already")
    number = wanted or max(there, default=0) + 1
    if number >= 2**63:
        raise UserError(f"`version` must be below 2**63, and {base} has {number - 1} already")
    return number
