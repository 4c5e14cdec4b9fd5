"""Training on Ray Train: what a run is, and how its networks are trained through failures."""
