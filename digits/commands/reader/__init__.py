"""What jobs do with the reader of pages: train it, and let it read folders of pictures."""
