"""A running service tried before it gets work: smoke test, and canary beside the champion."""
