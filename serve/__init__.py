"""The service: a person's photo in, a digit and its confidence out."""
