"""The model as a folder of files: what training writes, and all that predicts with it reads.

Promises that the same rows get the same predictions wherever the folder lies: the model as ONNX (or
skops), the feature code it was trained with, and the facts about both. Begin at ``model_folder``.
"""
