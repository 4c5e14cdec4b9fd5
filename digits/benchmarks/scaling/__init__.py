"""How long an epoch takes on many workers: a model, and what one worker was measured to need."""
