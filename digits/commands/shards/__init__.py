"""Everyone's digits as Parquet shards that training takes: jobs/make_shards.py."""
