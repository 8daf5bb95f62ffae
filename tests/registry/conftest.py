"""A toy of a project, with a real model in a real registry."""

from toy_fixtures import killed_at, project, template

__all__ = ["killed_at", "project", "template"]
