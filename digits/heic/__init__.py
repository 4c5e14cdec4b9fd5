"""HEIC, as iPhones write it: decoded in a process of its own."""
