"""Networks, their checkpoints, and inference without TensorFlow."""
