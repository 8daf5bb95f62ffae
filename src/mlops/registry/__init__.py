"""Versions of the model in MLflow: registered, promoted, rolled back, exported, and on record.

Promises that a kill at any step leaves one champion, and that the audit says who made it one. Begin
at ``versions`` and ``promotion``.
"""
