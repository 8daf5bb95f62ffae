"""Target ``image``: what serves is the image that a tag of the registry names.

The tag is named as the environment. Whoever runs the service pulls it; this machine only runs the
image long enough to check it. Nothing has to be configured.
"""

from collections.abc import Callable

from mlops.delivery.docker import Container, Docker, UnknownImageError
from mlops.project.errors import MlopsError


class ImageTarget:
    """Moves the tag ``staging`` or ``production`` of the image's repository."""

    def __init__(self, name: str, environment: str, image: str, champion: str | None) -> None:
        self.environment, self.image, self.champion = environment, image, champion
        self.repository, _, self.digest = image.partition("@")
        self.tag = f"{self.repository}:{environment}"
        self.docker = Docker()
        self.candidate = Container(self.docker, f"{name}-{environment}-candidate")
        self.beside = Container(self.docker, f"{name}-{environment}-champion")
        self.current: str | None = None
        self.candidate_url = self.champion_url = self.url = ""
        self.moved = False

    def look(self) -> str:
        try:
            self.current = f"{self.repository}@{self.docker.pull(self.tag)}"
        except UnknownImageError:
            self.current = self.champion
        if self.current is None:
            return f"{self.tag} does not exist yet: the first deployment"
        return f"{self.tag} is {self.current}"

    def start(self) -> str:
        self.docker.pull(self.image)
        self.candidate_url = self.candidate.start(self.image)
        return f"{self.image} runs on this machine"

    def start_champion(self) -> str:
        assert self.current is not None
        self.docker.pull(self.current)
        self.champion_url = self.beside.start(self.current)
        return f"{self.current} runs beside it"

    def switch(self) -> str:
        self.moved = True
        self.docker.tag(self.image, self.tag)
        return f"{self.tag} is moved to {self.digest}"

    def confirm(self) -> str:
        found = self.docker.pull(self.tag)
        if found != self.digest:
            raise MlopsError(f"{self.tag} is {found}, expected {self.digest}")
        return f"the registry answers {self.digest} for {self.tag}"

    def watch(self, look: Callable[[str], str]) -> str:
        return "nothing to watch: nobody serves from here"

    def settle(self) -> str:
        self.candidate.remove()
        self.beside.remove()
        return "nothing is left running on this machine"

    def undo(self) -> str:
        if not self.moved:
            return f"{self.tag} was not touched"
        if self.current is None:
            return f"{self.tag} stays, because there is no earlier image; do not use it"
        self.docker.tag(self.current, self.tag)
        return f"{self.tag} is {self.current} again"

    def close(self) -> None:
        self.candidate.remove()
        self.beside.remove()
