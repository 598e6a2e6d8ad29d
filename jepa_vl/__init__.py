"""jepa-vl: an open reference implementation of VL-JEPA (arXiv 2512.10942).

Importing the package is cheap: neither torch nor lightning is loaded until a part is used.
"""

__version__ = "0.1.0"
