"""Measurements of speed beside other ways to do the same."""
