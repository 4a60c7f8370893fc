"""Baselines that are no networks: session features, and what is fitted to them."""
