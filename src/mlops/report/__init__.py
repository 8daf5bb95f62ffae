"""From the JSON in ``reports/`` to Markdown that people read.

That is the comment on a pull request, and its verdict in one line. Texts of others
are defused here. Begin at ``comment``.
"""
