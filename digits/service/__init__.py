"""The HTTP service: from a request to an answer, without training frameworks."""
