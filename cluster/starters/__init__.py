"""Places where worker processes run; `cluster/starter.py` says what one must be able to do."""
