"""What is submitted: one file per job."""
