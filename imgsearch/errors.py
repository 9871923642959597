"""All errors of imgsearch, each with the builtin class that it also derives from.

ImgSearchError
├── ConfigError              an argument or environment variable is invalid     (ValueError)
├── MissingExtra             an optional dependency is not installed            (ImportError)
├── PluginFailed             an encoder or store of another package is broken   (ImportError)
├── SourceError              a file, folder or list cannot be read              (OSError)
│   ├── UrlRefused           a URL may not be fetched
│   └── UrlFailed            a URL could not be fetched
├── ImageError               an image cannot be used                            (ValueError)
│   ├── FormatRefused        its format is not on the allow-list
│   ├── ImageTooLarge        decoding it would exceed a limit
│   ├── ImageCorrupt         it cannot be decoded
│   └── ImageCrashed         decoding it kills or hangs a process
├── EncoderError             a model cannot be built or run
│   ├── ModelNotFound        no model has that name                             (LookupError)
│   │   └── EncoderRemoved   an earlier version had a model with that name
│   ├── TextUnsupported      the model takes no texts                           (ValueError)
│   ├── TextUnknown          the model knows no word of a text                  (ValueError)
│   ├── WeightsNotFound      weights are not on disk and cannot be downloaded   (OSError)
│   ├── WeightsInvalid       a file holds no weights, or another model's        (ValueError)
│   └── EncoderMismatch      a collection holds another encoder's vectors       (ValueError)
├── BackendError             a vector store refused a request, or failed
│   ├── CollectionNotFound   no collection has that name                        (LookupError)
│   ├── CollectionSwitched   a name has got another collection; safe to retry
│   ├── SchemaMismatch       the collection exists with another schema          (ValueError)
│   ├── DimensionMismatch    a vector has another length than the collection    (ValueError)
│   ├── VectorInvalid        a vector holds NaN, infinity or only zeros         (ValueError)
│   ├── FieldInvalid         a field, id or filter does not fit the schema      (ValueError)
│   ├── IndexRefused         the store did not build the requested index
│   ├── StoreLocked          another process has the store open
│   ├── StoreReadOnly        the store is read-only
│   └── BackendUnavailable   the store did not answer in time; safe to retry    (ConnectionError)
├── OperatorNotFound         a pipeline names an unknown operator               (LookupError)
├── DatasetError             a folder, csv or archive is not a valid dataset    (ValueError)
├── DownloadError            published data could not be downloaded             (OSError)
├── StepFailed               a step of a user's pipeline raised an exception
├── PrecisionUnreached       no threshold has the requested precision           (ValueError)
├── CatalogError             the catalog's database refused a request, or failed
│   └── CatalogOutdated      a newer version of imgsearch wrote the catalog
├── ImageNotFound            the catalog has no image with that id              (LookupError)
├── ImageExists              another image has that id                          (ValueError)
├── ImageBusy                the image is being deleted; safe to retry
├── ObjectStoreError         the store of originals refused a request, or failed
│   └── ObjectNotFound       the store has no original with that content        (LookupError)
├── SyncRefused              a sync would remove many images: confirm it
├── JobBusy                  the job is queued or running: cancel it first
├── JobNotFound              no job has that id                                 (LookupError)
├── EngineFailed             an engine cannot run the shards of a job
├── MigrationIncomplete      images cannot be embedded anew; nothing was switched
├── LimitExceeded            a number, size or rate exceeds its limit           (ValueError)
└── AccessDenied             no API key, or an unknown one                      (PermissionError)
    ├── ScopeMissing         the API key lacks the required scope
    └── CollectionDenied     the API key is limited to other collections

UserWarning
├── TextWarning              the model was not trained on the script of a text
└── EncoderWarning           a collection does not record its encoder
"""

from imgsearch.distribution import install_hint


class ImgSearchError(Exception):
    """Base class of all errors of imgsearch."""


class ConfigError(ImgSearchError, ValueError):
    """A URL, option, name or environment variable is invalid."""


class MissingExtra(ImgSearchError, ImportError):
    """An optional dependency is not installed.

    `extra` is the extra that installs it, such as "torch,clip", or "" for a base dependency. The
    install command is appended to the message. If `extra` is None, the message is used unchanged.
    """

    def __init__(self, message: str, *, extra: str | None = None, name: str | None = None) -> None:
        if extra is not None:
            message = f"{message}, which is not installed. Run {install_hint(extra)}."
        super().__init__(message, name=name)
        self.extra = extra


class PluginFailed(ImgSearchError, ImportError):
    """An encoder or a store of another package cannot be imported or used."""


class SourceError(ImgSearchError, OSError):
    """A file, folder or list cannot be read."""

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.path = path

    def __str__(self) -> str:
        """Return the message unchanged, because OSError may reformat it."""
        return str(self.args[0]) if self.args else ""


class UrlRefused(SourceError):
    """A URL may not be fetched: its scheme, host, redirect or size is not allowed."""


class UrlFailed(SourceError):
    """A URL could not be fetched."""


class ImageError(ImgSearchError, ValueError):
    """An image cannot be used.

    `path` is the image's file, or "" for bytes. `stage` is "header", "decode", "convert" or
    "crash", and `reason` the cause in a few words.
    """

    def __init__(
        self, message: str, *, path: str = "", stage: str = "decode", reason: str = ""
    ) -> None:
        super().__init__(message)
        self.path, self.stage, self.reason = path, stage, reason


class FormatRefused(ImageError):
    """The format of the bytes is not on the allow-list."""


class ImageTooLarge(ImageError):
    """Decoding would exceed the limit for pixels, time or memory, according to the header."""


class ImageCorrupt(ImageError):
    """The bytes cannot be decoded."""


class ImageCrashed(ImageError):
    """Decoding or embedding it kills or hangs a process."""


class EncoderError(ImgSearchError):
    """A model cannot be built or run."""


class ModelNotFound(EncoderError, LookupError):
    """No model has that name."""


class EncoderRemoved(ModelNotFound):
    """The model was removed. Collections that it embedded accept only vectors as queries."""


class TextUnsupported(EncoderError, ValueError):
    """The model takes images only."""


class TextUnknown(EncoderError, ValueError):
    """The model knows no word of the text, so the text has no vector."""


class WeightsNotFound(EncoderError, OSError):
    """Weights are not on disk and cannot be downloaded."""


class WeightsInvalid(EncoderError, ValueError):
    """The file holds no weights, or another model's."""


class EncoderMismatch(EncoderError, ValueError):
    """The collection holds another encoder's vectors."""


class BackendError(ImgSearchError):
    """A vector store refused a request, or failed; `__cause__` is the driver's error."""


class CollectionNotFound(BackendError, LookupError):
    """No collection has that name."""


class CollectionSwitched(BackendError):
    """During a write, another collection became the current one for the name; safe to retry."""


class SchemaMismatch(BackendError, ValueError):
    """The collection exists with another schema."""


class DimensionMismatch(BackendError, ValueError):
    """A vector has another length than the collection's vectors."""

    def __init__(self, message: str, *, expected: int = 0, got: int = 0) -> None:
        super().__init__(message)
        self.expected, self.got = expected, got


class VectorInvalid(BackendError, ValueError):
    """A vector holds NaN, infinity or only zeros."""


class FieldInvalid(BackendError, ValueError):
    """A field, id or filter does not fit the schema."""


class IndexRefused(BackendError):
    """The store did not build the requested index."""


class StoreLocked(BackendError):
    """Another process has the store open."""


class StoreReadOnly(BackendError):
    """The store is read-only: a parquet file, or the folder of a job."""


class BackendUnavailable(BackendError, ConnectionError):
    """The store did not answer in time; safe to retry."""


class OperatorNotFound(ImgSearchError, LookupError):
    """A pipeline names an operator that is not registered."""


class StepFailed(ImgSearchError):
    """A step of a user's pipeline raised an exception, or returned an unusable value."""

    @classmethod
    def of(cls, error: BaseException) -> "StepFailed":
        """Return the error for an exception that a step raised."""
        text = f"{type(error).__name__}: {error}"
        if "Traceback (most recent call last)" in text:  # Towhee gives only an exception's text
            text = text.rstrip().splitlines()[-1]
        return cls(f"a step of the pipeline raised {text}")


class PrecisionUnreached(ImgSearchError, ValueError):
    """No threshold has the requested precision.

    `wanted` is the requested precision and `best` the highest precision reached, in [0, 1]. If
    validation rejected a threshold, `checked` is the precision in validation and `interval` its
    95 % confidence interval; otherwise both are None.
    """

    def __init__(
        self,
        message: str,
        *,
        best: float = 0.0,
        wanted: float = 1.0,
        checked: float | None = None,
        interval: tuple[float, float] | None = None,
    ) -> None:
        super().__init__(message)
        self.best, self.wanted, self.checked, self.interval = best, wanted, checked, interval


class DatasetError(ImgSearchError, ValueError):
    """A folder, csv or archive is not a valid dataset, or lacks its labels."""


class DownloadError(ImgSearchError, OSError):
    """Published data could not be downloaded."""


class CatalogError(ImgSearchError):
    """The catalog's database refused a request, or failed."""


class CatalogOutdated(CatalogError):
    """A newer version of imgsearch wrote the catalog."""


class ImageNotFound(ImgSearchError, LookupError):
    """No image has that id."""


class ImageExists(ImgSearchError, ValueError):
    """Another image has that id."""


class ImageBusy(ImgSearchError):
    """The image is being deleted; safe to retry."""


class ObjectStoreError(ImgSearchError):
    """The store of originals refused a request, or failed."""


class ObjectNotFound(ObjectStoreError, LookupError):
    """The store has no original with that content."""


class JobNotFound(ImgSearchError, LookupError):
    """No job has that id."""


class SyncRefused(ImgSearchError):
    """A sync was not confirmed, and would remove many images, or cannot list a folder.

    `reasons` has a sentence for each reason. Nothing was changed.
    """

    def __init__(self, message: str, *, reasons: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.reasons = reasons


class JobBusy(ImgSearchError):
    """The job is queued or running: cancel it first."""


class EngineFailed(ImgSearchError):
    """An engine, such as Ray, cannot run the shards of a job."""


class MigrationIncomplete(ImgSearchError):
    """Images cannot be embedded with the new model, so searches still use the former one."""


class LimitExceeded(ImgSearchError, ValueError):
    """A number, size or rate exceeds its limit."""


class AccessDenied(ImgSearchError, PermissionError):
    """The request has no API key, or an unknown one."""


class ScopeMissing(AccessDenied):
    """The API key lacks the scope that the request requires."""


class CollectionDenied(AccessDenied):
    """The API key is limited to some collections, and the request needs another or all of them."""


class TextWarning(UserWarning):
    """The text is in a script that the model was not trained on, so its hits mean little."""


class EncoderWarning(UserWarning):
    """The collection does not record its encoder, so the given encoder cannot be verified."""
