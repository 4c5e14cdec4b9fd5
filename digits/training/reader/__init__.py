"""Training of the network that reads every digit of a page."""
