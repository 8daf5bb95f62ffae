"""Start: from a table to a project that trains on it, in place of the example.

``reading`` finds out how the table is read, ``plan`` what to do with its columns, ``writing``
writes the files that are the user's: all of them, or none.
"""
