"""What a place to deploy to must be able to do, step by step; `mlops.delivery.deploy` calls it."""

from typing import Protocol


class Target(Protocol):
    """A place where one version serves, and another can be started beside it.

    Every method but ``close`` returns a sentence for the record, and raises `MlopsError` with a
    reason. Until ``switch`` is called, nothing that the users of the service can see may change.
    """

    current: str | None
    """Image that serves now; known after ``look``. None before the first deployment."""
    candidate_url: str
    """Where the new version answers, after ``start``."""
    champion_url: str
    """Where the current version answers, after ``start_champion``."""
    url: str
    """Where the users' requests go, as far as this machine can ask there; empty: nowhere."""

    def look(self) -> str:
        """Find out what serves now, and whether the place is ready for a deployment."""

    def start(self) -> str:
        """Start the new version beside the current one, and wait until it answers."""

    def start_champion(self) -> str:
        """Make the current version answer at ``champion_url``, for comparison."""

    def switch(self) -> str:
        """Let the new version serve."""

    def confirm(self) -> str:
        """Check from outside that what serves is the new version."""

    def watch(self) -> str:
        """Look for a while whether the new version keeps serving; only where ``url`` is known."""

    def settle(self) -> str:
        """End what served before, after the new version has proved itself."""

    def undo(self) -> str:
        """Let what served before serve again, whatever happened; end the new version."""

    def close(self) -> None:
        """Let go of what only this deployment needed. Never raises."""
