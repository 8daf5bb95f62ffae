"""A DVC remote that cannot be reached is said in a sentence, and what to do; on a real S3."""

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from parcels import Parcels, parcels
from s3_server import READER, S3, WRITER, credentials, s3_server

FILE = "data/source/parcels.csv"
WHERE = "check its address (.dvc/config) and your credentials (in the workflows: those that .github"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with s3_server(tmp_path_factory.mktemp("remote") / "s3") as s3:
        yield s3


@pytest.fixture
def project(s3: S3, tmp_path: Path) -> Parcels:
    project = parcels(tmp_path)
    (project / FILE).write_text("seen_at,late\n", encoding="utf-8")
    s3.be_remote_of(project)
    project.run("dvc", "add", "--quiet", FILE)
    return project


def be(user: dict[str, str], patch: pytest.MonkeyPatch) -> None:
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # a machine in the cloud has others
    for name, value in user.items():
        patch.setenv(name, value)


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        ({}, "NoCredentialsError: Unable to locate credentials"),
        (credentials("nobody"), "PermissionError: Forbidden"),
        (READER | {"AWS_SECRET_ACCESS_KEY": "wrong"}, "PermissionError: Forbidden"),
    ],
)
def test_without_the_right_credentials(
    user: dict[str, str], reason: str, project: Parcels, monkeypatch: pytest.MonkeyPatch
) -> None:
    be(user, monkeypatch)
    told = {"push-data": "written", "pull-data": "read", "store mend": "read"}
    for command, done in told.items():
        said = project.refused(*command.split())
        start = f"the DVC remote s3://parcels/dvc cannot be {done} ({reason}); {WHERE}"
        assert said.startswith(start)


def test_who_may_only_read_pushes_nothing(
    project: Parcels, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    be(READER, monkeypatch)
    before = s3.keys()
    assert "cannot be written (UploadError: 1 files failed to upload)" in project.refused(
        "push-data"
    )
    assert s3.keys() == before


def test_who_may_write_pushes_for_those_who_read(
    project: Parcels, monkeypatch: pytest.MonkeyPatch
) -> None:
    be(WRITER, monkeypatch)
    assert "1 new files in the DVC remote s3://parcels/dvc" in project.do("push-data")
    be(READER, monkeypatch)
    for name in (FILE, ".dvc/cache"):
        project.run("rm", "-r", name)
    assert project.do("store mend", "pull-data") == "data/source is what its .dvc files say\n"
    assert (project / FILE).read_text() == "seen_at,late\n"


@pytest.mark.parametrize("head", [{"full_name": "mallory/parcels"}, None, {"full_name": "ada/p"}])
def test_a_fork_is_told_who_can_go_on(
    head: dict[str, str] | None, project: Parcels, monkeypatch: pytest.MonkeyPatch
) -> None:
    be({}, monkeypatch)
    event = project / "event.json"
    event.write_text(json.dumps({"pull_request": {"head": {"repo": head}}}), encoding="utf-8")
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(event))
    monkeypatch.setenv("GITHUB_REPOSITORY", "ada/p")
    said = project.refused("pull-data")
    if head == {"full_name": "ada/p"}:
        assert WHERE in said
    else:
        assert (
            "; this pull request comes from a fork, and forks get no credentials: a maint" in said
        )


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("command", ["store mend", "push-data", "pull-data"])
def test_a_remote_that_never_answers(
    command: str, silent: str, project: Parcels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`dvc push` of the workflows comes after `mlops store mend`; the process ends at once."""
    be(WRITER, monkeypatch)
    project.run("dvc", "remote", "modify", "--quiet", "store", "endpointurl", silent)
    program = (
        "from mlops.store import remote; remote.ANSWER_SECONDS = 1.0; "
        "from mlops.cli import main; main()"
    )
    ran = project.run(sys.executable, "-c", program, *command.split(), fails=True)
    done = "written" if command == "push-data" else "read"
    assert ran.stderr.splitlines()[-1].startswith(
        f"mlops: the DVC remote s3://parcels/dvc cannot be {done} (TimeoutError: no answer in 1 s)"
        "; check its address (.dvc/config)"
    )
