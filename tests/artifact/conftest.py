"""A toy of a project, with a real model."""

from toy_fixtures import project, template

__all__ = ["project", "template"]
