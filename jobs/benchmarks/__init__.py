"""The parts of jobs/benchmark.py, one file each; `sides` holds what they compare, each a program of its own."""
