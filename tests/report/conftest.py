"""Candidates judged against a champion, to report on."""

from candidates import *  # noqa: F403 - all of its fixtures
