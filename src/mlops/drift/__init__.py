"""Watching: whether data, predictions or the champion's score have moved, and what to do."""
