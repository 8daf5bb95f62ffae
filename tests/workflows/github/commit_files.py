"""What a commit of a bare repository holds."""

import io
import subprocess
import tarfile
from functools import lru_cache
from pathlib import Path


def archive(repository: Path, commit: str, path: str) -> bytes:
    """Return the files of a commit at or below a path that it has, as a tar."""
    command = ["git", "archive", "--format=tar", commit, path]
    return subprocess.run(command, cwd=repository, capture_output=True, check=True).stdout


def unpack(repository: Path, commit: str, path: str, folder: Path) -> None:
    """Put these files in a folder, links as links."""
    folder.mkdir(parents=True, exist_ok=True)
    # Not by extractall: what makes it safe came with Python 3.11.4.
    subprocess.run(
        ["tar", "-xf", "-"], cwd=folder, input=archive(repository, commit, path), check=True
    )


def files_at(repository: Path, commit: str, path: str = ".") -> dict[str, bytes]:
    """Return the content of each file at or below a path; links are left out."""
    try:
        content = archive(repository, commit, path)
    except subprocess.CalledProcessError as error:
        if b"did not match any files" in error.stderr:
            return {}
        raise
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return {
            member.name: content.read()
            for member in tar
            if member.isfile() and (content := tar.extractfile(member))
        }


@lru_cache
def workflow_files_at(repository: Path, commit: str) -> dict[str, str]:
    """Return the texts of the workflows and actions of a commit, which must be a full hash."""
    files = files_at(repository, commit, ".github")
    return {name: text.decode() for name, text in files.items() if name.endswith((".yml", ".yaml"))}
