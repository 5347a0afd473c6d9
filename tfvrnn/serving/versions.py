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
    """List the numbers of the versions in a base folder, ascending.

    A version is a folder whose name is a number that TensorFlow Serving reads: an int64.
    """
    if not base.is_dir():
        return []
    names = [path.name for path in base.iterdir() if path.is_dir()]
    return sorted(
        int(name)
        for name in names
        if name.isascii() and name.isdigit() and name == str(int(name)) and int(name) < 2**63
    )


def free_version(base: Path, wanted: int | None) -> int:
    """Return the wanted version, or the number after the newest.

    Raises:
        UserError: the wanted version exists.
    """
    there = versions(base)
    if wanted in there:
        raise UserError(f"version {wanted} is in {base} already")
    return wanted or max(there, default=0) + 1
