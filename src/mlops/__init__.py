"""The machinery: how the model in ``src/model`` is trained, judged, shipped and watched."""

__version__ = "1.0.0"  # docs/CHANGELOG.md says what each version brings
