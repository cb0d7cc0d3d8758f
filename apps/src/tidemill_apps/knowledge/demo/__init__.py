"""The whole system in one process: documents are indexed, questions answered, and it ends."""
