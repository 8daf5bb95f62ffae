"""S3 for real: SeaweedFS on this machine, with a bucket and two users; one may only read."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from act_run import program
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from projects import Project
from running_prometheus import free_address

BUCKET = "parcels"
PORTS = (
    *("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port"),
    *("filer.port.grpc", "s3.port", "s3.port.grpc"),
)
PATIENCE = 60.0  # seconds to start, on a machine that is busy with other tests


def credentials(name: str) -> dict[str, str]:
    """Return what a user's environment holds; of the name is known who they are."""
    return {
        "AWS_ACCESS_KEY_ID": name,
        "AWS_SECRET_ACCESS_KEY": f"secret-of-{name}",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


READER, WRITER = credentials("reader"), credentials("writer")


@dataclass(frozen=True)
class S3:
    """A bucket at an address such as http://127.0.0.1:8333."""

    address: str

    @property
    def client(self) -> Any:
        key, secret, region = WRITER.values()
        return boto3.client(
            "s3",
            endpoint_url=self.address,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            region_name=region,
            config=Config(retries={"total_max_attempts": 1}, proxies={}),
        )

    def keys(self) -> list[str]:
        """Return the names of what is in the bucket."""
        found = self.client.list_objects_v2(Bucket=BUCKET)
        return [it["Key"] for it in found.get("Contents", [])]

    def be_remote_of(self, project: Project) -> None:
        """Let a project's DVC remote be here, as the answer ``dvc_remote_url`` does."""
        url, endpoint = f"s3://{BUCKET}/dvc", self.address
        for name, value in (("url", url), ("endpointurl", endpoint)):
            project.run("dvc", "remote", "modify", "--quiet", "store", name, value)


@contextmanager
def s3_server(folder: Path) -> Iterator[S3]:
    """Start one that keeps its files in a folder."""
    folder.mkdir()
    users = [(READER, ["Read", "List"]), (WRITER, ["Admin", "Read", "Write", "List"])]
    identities = [
        {
            "name": user["AWS_ACCESS_KEY_ID"],
            "credentials": [
                {
                    "accessKey": user["AWS_ACCESS_KEY_ID"],
                    "secretKey": user["AWS_SECRET_ACCESS_KEY"],
                }
            ],
            "actions": actions,
        }
        for user, actions in users
    ]
    (folder / "s3.json").write_text(json.dumps({"identities": identities}), encoding="utf-8")
    process, server = _started(folder)
    try:
        yield server
    finally:
        process.kill()
        process.wait()


def _started(folder: Path) -> tuple["subprocess.Popen[bytes]", S3]:
    """Start it anew where another program was faster at one of the ports."""
    deadline = time.monotonic() + PATIENCE
    while True:
        ports = {name: free_address().partition(":")[2] for name in PORTS}
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [*_command(folder), *(f"-{name}={port}" for name, port in ports.items())],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        server = S3(f"http://127.0.0.1:{ports['s3.port']}")
        while process.poll() is None:
            try:
                server.client.create_bucket(Bucket=BUCKET)
                return process, server
            except (BotoCoreError, ClientError):  # not up yet
                said = (folder / "log").read_text(encoding="utf-8")
                if time.monotonic() >= deadline:
                    process.kill()
                    raise TimeoutError(said) from None
                time.sleep(0.2)
        said = (folder / "log").read_text(encoding="utf-8")
        assert "address already in use" in said, said


def _command(folder: Path) -> list[str]:
    return [
        *(program("weed"), "server", f"-dir={folder}", "-s3", f"-s3.config={folder}/s3.json"),
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.volumeSizeLimitMB=64"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"),
    ]
