"""What every HTML page of the project shares: its style, its figures, its way of saying numbers."""
