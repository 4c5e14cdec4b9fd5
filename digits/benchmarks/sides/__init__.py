"""What the benchmark compares: each file is a program that measures one side and prints one JSON document."""
