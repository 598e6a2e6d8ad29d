"""The ``jepa-vl`` command: Lightning's verbs and ours. Each module but ``__main__`` may import torch."""
