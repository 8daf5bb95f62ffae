"""References to container images: by digest, and in a workflow of this repository only."""

import os
import re
from collections.abc import Sequence

from mlops.project.errors import MlopsError

# The references that name the same image for ever, as `docker push` takes and prints them:
# https://github.com/distribution/reference/blob/main/reference.go
_HOST = r"(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(?=:))(?::\d+)?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
IMAGE = re.compile(rf"{_HOST}(?:/{_PART})+@sha256:[0-9a-f]{{64}}")


def check(reference: str, former: Sequence[str] = ()) -> None:
    """Refuse a reference that a workflow must not deploy.

    The registry lies on a branch that others may write: what it says must not bring an image of
    somebody else into production. Outside a workflow, whoever names an image answers for it.

    Parameters
    ----------
    reference : str
        ``host/path@sha256:...``: a tag would mean another image tomorrow.
    former : sequence of str
        Names without digest that are accepted besides that of the repository.

    Raises
    ------
    MlopsError
        When it is no reference by digest, or, in a workflow, one to an image of another name.
    """
    if not IMAGE.fullmatch(reference):
        raise MlopsError(
            f"{reference!r} does not name an image for ever; expected "
            "HOST[:PORT]/PATH@sha256:DIGEST with 64 hex digits, such as "
            "ghcr.io/owner/name@sha256:0123..., as `docker push` prints"
        )
    repository = os.environ.get("GITHUB_REPOSITORY")
    own = f"ghcr.io/{repository}".lower()
    if repository and reference.partition("@")[0] not in (own, *former):
        raise MlopsError(
            f"image {reference!r} is not one of this repository, {own}@sha256:...; if the "
            "repository had another name when it was built, add that to serving.former_images "
            "in params.yaml; else the registry was changed by hand: restore it, or name another "
            "version"
        )
