"""The curves of Fig 3 of the VL-JEPA paper (arXiv 2512.10942v2, section 4.5), read off the figure.

Pixels of the bitmap were counted; the error is about ± 0.2. CIDEr × 100 is the mean over YouCook2, MSR-VTT
and PVD-Bench, top-5 in % the mean over CrossTask steps, CrossTask tasks and EgoExo4D, both zero-shot.

The text of the same section gives other numbers in places: at 15 M samples CIDEr 14.8 against 7.1, where
the figure has 18.7 against 9.2 (twice as much either way), and what it calls 500 k is the figure's first
marker, at about 100 k. Top-5 agrees. No seeds or intervals are reported.
"""

from __future__ import annotations

SOURCE = "VL-JEPA, arXiv 2512.10942v2, Fig 3, read off the figure (± 0.2); single runs, no intervals"

#: Training samples seen.
SAMPLES = (0.1e6, 0.5e6, 1e6, 1.5e6, 2e6, 2.5e6, 5e6, 10e6, 15e6)

#: Heading → arm → values as they are printed; ``jepa`` and ``token`` are our names of the two.
CURVES = {
    "captions, CIDEr × 100": {
        "jepa": (1.3, 5.2, 7.9, 10.0, 11.5, 12.2, 14.7, 17.1, 18.7),
        "token": (1.5, 2.8, 2.3, 3.5, 3.8, 4.2, 6.7, 7.3, 9.2),
    },
    "classification, top-5 in %": {
        "jepa": (15.0, 15.3, 23.3, 28.3, 31.9, 31.4, 35.3, 38.0, 41.0),
        "token": (14.0, 17.6, 18.4, 19.5, 19.4, 19.6, 21.2, 25.3, 27.1),
    },
}
