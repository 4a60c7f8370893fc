"""Where it runs: Spark sessions, Horovod processes, Ray."""
