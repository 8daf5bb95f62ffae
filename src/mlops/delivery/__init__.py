"""Putting an image to work: start it beside what serves, check it, switch, and undo on failure."""
