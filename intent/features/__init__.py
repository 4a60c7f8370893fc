"""The paper's discretization: one raw column in, one column of ids out."""
