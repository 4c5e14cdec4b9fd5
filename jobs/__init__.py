"""The jobs: each parses its command line, calls the library and prints."""
