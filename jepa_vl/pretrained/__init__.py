"""Pretrained models of Hugging Face: where they are, how they are loaded, and the shapes of the paper's."""
