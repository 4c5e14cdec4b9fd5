"""What a cluster is, and whether the jobs will run on it as they should: behind jobs/check.py."""
