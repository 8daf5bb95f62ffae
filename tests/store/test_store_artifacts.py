"""Where the built-in store keeps artifacts: beside its database, and nowhere else."""

import pytest
from toy_project import ToyProject

from mlops.project.errors import MlopsError
from mlops.registry import tracking


def test_an_artifact_outside_the_store_is_not_read(project: ToyProject) -> None:
    import mlflow
    from mlflow.exceptions import MlflowException

    from mlops.store.artifacts import StoreArtifactRepository

    uri = tracking.connect().tracking_uri
    with pytest.raises(MlopsError, match="would lie outside"):
        StoreArtifactRepository("store:/artifacts/../../secret", uri)
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    mlflow.set_registry_uri("http://127.0.0.1:9")
    with pytest.raises(MlflowException, match="lies beside a sqlite database"):
        StoreArtifactRepository("store:/artifacts/x")
