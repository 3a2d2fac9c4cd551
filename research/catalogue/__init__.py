"""Bars kept as Parquet files: downloaded, listed, and checked for what cannot be true."""
