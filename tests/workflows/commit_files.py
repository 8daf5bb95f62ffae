"""What a commit of a bare repository holds."""

import io
import subprocess
import tarfile
from pathlib import Path

from github_git import git


def archive(repository: Path, commit: str, path: str = ".") -> tarfile.TarFile:
    """Return the files of a commit at or below a path that it has."""
    command = ["git", "archive", "--format=tar", commit, path]
    done = subprocess.run(command, cwd=repository, capture_output=True, check=True)
    return tarfile.open(fileobj=io.BytesIO(done.stdout))


def files_at(repository: Path, commit: str, path: str = ".") -> dict[str, bytes]:
    """Return the content of each file at or below a path; links are left out."""
    if path != "." and not git(repository, "ls-tree", "--name-only", commit, path):
        return {}
    with archive(repository, commit, path) as tar:
        return {
            member.name: content.read()
            for member in tar
            if member.isfile() and (content := tar.extractfile(member))
        }
