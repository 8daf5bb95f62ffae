"""A small project with a real model in a real registry."""

from toy_fixtures import project, template

__all__ = ["project", "template"]
