"""How the workers of a group are joined: as one TensorFlow cluster or, on one node, by memory that they share."""
