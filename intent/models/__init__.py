"""DIPN, its ablations and its layers, in Keras 3."""
