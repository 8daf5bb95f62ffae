"""Candidates judged against a champion."""

from candidates import *  # noqa: F403 - all of its fixtures
