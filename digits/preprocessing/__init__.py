"""From a photo to what a network sees: paper, ink, strokes, MNIST's form. No Ray, no TensorFlow."""
