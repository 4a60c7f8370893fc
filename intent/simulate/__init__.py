"""The simulated shop: raw logs with a known hidden intent."""
