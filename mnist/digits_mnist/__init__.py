"""The 70,000 handwritten digits of MNIST as Parquet files; digits finds them in this folder."""
