"""Champion and candidate on the same unseen rows: what was found, and what follows from it.

Promises that both see the same rows, each with its own feature code. ``compare`` is the command;
``finding`` says what the rows show, ``gate`` what the policy makes of it.
"""
