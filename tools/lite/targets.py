"""Write the constants of a model's texts into the package; see `lite.text.targets_of`.

They depend on the class names' vectors (``tools/lite/words.py``) and on the model's projection
(``tools/lite/space.py``), so this tool runs after these two. Run it from the checkout, with both
weight packages installed::

    python -m tools.lite.targets
"""

import numpy as np

from imgsearch.encoders import registry
from imgsearch.encoders.lite import text
from imgsearch.encoders.lite.encoder import projected_directions, targets_file


def main() -> None:
    """Write the file of each model."""
    names = np.load(text.CLASSES, allow_pickle=False).astype(np.float32)
    for row in registry.described().values():
        if row.runtime != "lite" or row.weights_file is None:
            continue
        directions = projected_directions(row, row.weights_file.locate())
        np.save(targets_file(row), text.targets_of(names, directions))
        print(targets_file(row), targets_file(row).stat().st_size, "bytes")  # noqa: T201  # a tool


if __name__ == "__main__":
    main()
