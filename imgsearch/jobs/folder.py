"""The folder of a job, as `imgsearch.embed` writes it; see `imgsearch.backends.vectors.folder`."""

from imgsearch.backends.vectors.folder import JobDescription, JobFolder, JobProgress, ShardOutcome
from imgsearch.backends.vectors.place import is_job

__all__ = ["JobDescription", "JobFolder", "JobProgress", "ShardOutcome", "is_job"]
