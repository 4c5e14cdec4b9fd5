"""From Parquet files to the digits of a worker's batches."""
