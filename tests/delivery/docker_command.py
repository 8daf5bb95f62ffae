"""The command ``docker``, for an engine that answers."""

import subprocess


class Docker:
    """``docker("ps", "--all")`` runs it."""

    base = ""  # what stands in for the base image where no registry can be reached

    def __call__(self, *arguments: str, fails: bool = False) -> str:
        """Return what it printed; a surprise shows all that it said."""
        done = self.run(*arguments)
        said = f"docker {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        assert (done.returncode != 0) == fails, said
        return done.stdout.strip()

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = ["docker", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def has(self, image: str) -> bool:
        return self.run("image", "inspect", image).returncode == 0
