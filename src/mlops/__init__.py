"""The machinery: how the model in ``src/model`` is trained, judged, shipped and watched."""
