"""Prepared sets: a manifest's clips as litdata shards, in a folder or on object storage."""
