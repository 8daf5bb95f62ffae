"""``python -m mlops.serving``: serve the model in MODEL_DIR until SIGTERM."""

import sys

from mlops.project.errors import MlopsError
from mlops.serving import server, settings


def main() -> int:
    """Start the service; with an argument other than `serve`, print what the settings are."""
    serve = sys.argv[1:] == ["serve"]  # how SageMaker starts an image
    if len(sys.argv) > 1 and not serve:
        print(settings.table())
        return 0 if sys.argv[1:] == ["--help"] else 2
    try:
        given = settings.read()
        return server.run(settings.of_sagemaker(given) if serve else given)
    except MlopsError as error:
        for line in str(error).splitlines():
            print(f"mlops.serving: {line}", file=sys.stderr)
        return 1


if __name__ == "__main__":  # workers import this module, too
    sys.exit(main())
