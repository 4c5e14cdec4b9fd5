"""Searching for a network on Ray Tune."""
