"""Many runs over the fields of the configuration: what is tried, what came of it, which is best."""
