"""What `durable demo` runs: a pipeline over the commits of a git history; `pipeline.py` is the part to read."""
