"""Runs as trials of Ray Tune: started, watched, stopped early, and begun again where they died."""
