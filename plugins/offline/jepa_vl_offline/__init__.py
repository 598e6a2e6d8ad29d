"""Pretrained parts that arrive inside PyPI wheels, for machines without a model hub."""
