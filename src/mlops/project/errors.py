"""The one exception that is the user's to fix."""


class MlopsError(Exception):
    """What was wrong, where, what was expected and what to do next, in one line.

    The command line prints it without a traceback and exits with 1.
    """
