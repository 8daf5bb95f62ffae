"""The service: one model over HTTP, with what it was asked and answered on record.

``python -m mlops.serving`` starts it; its settings are environment variables
(:mod:`mlops.serving.settings`). Nothing here imports scikit-learn, pandas or MLflow.
"""
