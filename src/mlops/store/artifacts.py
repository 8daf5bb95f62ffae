"""Artifacts whose address does not say where the store lies, so that a moved store still loads.

MLflow keeps absolute artifact paths. Under ``store:/artifacts`` it keeps none: the path is found
beside the database in use. MLflow finds this class by the entry point
``mlflow.artifact_repository: store``.
"""

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from mlops.registry import database


class StoreArtifactRepository(LocalArtifactRepository):
    """A local repository below the folder of the sqlite database that MLflow is using."""

    def __init__(
        self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
    ) -> None:
        given = (tracking_uri, registry_uri, mlflow.get_tracking_uri(), mlflow.get_registry_uri())
        local = [uri for uri in given if uri and uri.startswith("sqlite:")]
        if not local:
            raise MlflowException.invalid_parameter_value(
                f"{artifact_uri} lies beside a sqlite database; "
                "set the tracking URI to sqlite:////path/to/.store/mlflow.db"
            )
        path = database.artifact_path(database.to_path(local[0]), artifact_uri)
        super().__init__(path.as_uri(), tracking_uri, registry_uri)
