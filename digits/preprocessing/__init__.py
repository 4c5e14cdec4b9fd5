"""From a photo to what a network sees: ink, strokes, MNIST's form. No Ray, no TensorFlow."""
