"""The stages of ``dvc.yaml``, a module each, and moving the window that they train on."""
