"""Imports from Towhee 1.1.3 without its warnings.

Towhee uses the pydantic 1 API, which pydantic 2 deprecates. Users cannot change that, so this
module hides the warnings during the import.
"""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import towhee
    from towhee.hub.cache_manager import CacheManager
    from towhee.operator import PyOperator, SharedType
    from towhee.pipelines import BUILT_IN_PIPES_ROOT, get_builtin_pipe_file
    from towhee.runtime.constants import (
        FilterConst,
        FlatMapConst,
        InputConst,
        MapConst,
        OPType,
        OutputConst,
    )
    from towhee.runtime.operator_manager import OperatorRegistry
    from towhee.runtime.pipeline import Pipeline as TowheePipeline
    from towhee.runtime.runtime_pipeline import RuntimePipeline, _Graph
    from towhee.runtime.time_profiler import TimeProfiler

__all__ = [
    "BUILT_IN_PIPES_ROOT",
    "CacheManager",
    "FilterConst",
    "FlatMapConst",
    "InputConst",
    "MapConst",
    "OPType",
    "OperatorRegistry",
    "OutputConst",
    "PyOperator",
    "RuntimePipeline",
    "SharedType",
    "TimeProfiler",
    "TowheePipeline",
    "_Graph",
    "get_builtin_pipe_file",
    "towhee",
]
