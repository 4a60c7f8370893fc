"""Sample groups: tracks and cuts, their Parquet store, and the order in which they are read."""
