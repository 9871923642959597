"""Run every benchmark and print machine, versions and ratios."""

import os
import platform
from importlib.metadata import version

from tests.benchmarks import (
    bulk,
    dedup,
    index,
    inserting,
    latency,
    memory,
    overhead,
    pipelines,
    reading,
    scale,
    sizes,
    throughput,
    tuning,
    unchanged,
)


def main():
    packages = ("towhee", "numpy", "pillow", "pymilvus", "milvus-lite", "torch", "timm", "openvino")
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(", ".join(f"{name} {version(name)}" for name in packages))
    overhead.main()
    pipelines.main()
    throughput.main()
    reading.main()
    latency.main()
    memory.main()
    index.main()
    inserting.main([], standalone_mode=False)
    scale.main()
    sizes.main()
    bulk.main([])
    tuning.main()
    dedup.main()
    unchanged.main()


if __name__ == "__main__":
    main()
