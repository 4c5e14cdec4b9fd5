"""Pages with many digits for evaluation: simulated ones, folders of real ones, and how well they are read."""
