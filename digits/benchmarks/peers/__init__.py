"""Readers that people use today, each run by an environment of its own."""
