"""How good are the scores: AUC, PR, calibration, and the report."""
