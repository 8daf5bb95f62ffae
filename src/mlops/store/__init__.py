"""The built-in registry and DVC remote, ``.store``, and its copy on the branch ``mlops-store``.

Promises that nothing is lost when two save at once, and that a torn copy is never restored.
"""
