"""Customer.io's storage exports: parquet files in a bucket, loaded as the newest row of each key."""
