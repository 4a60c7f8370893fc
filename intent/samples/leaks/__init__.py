"""The leakage report: how far each entry and each feature alone foretells the label."""
