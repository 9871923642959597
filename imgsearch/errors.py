"""Every error that imgsearch raises on purpose, and the builtin that it also is.

ImgSearchError
├── ConfigError              a URL, option, name or environment variable is wrong  (ValueError)
├── MissingExtra             an optional dependency is not installed               (ImportError)
├── SourceError              a file, folder or list cannot be read                 (OSError)
│   ├── UrlRefused           a URL that must not be fetched
│   └── UrlFailed            a URL that could not be fetched
├── ImageError               one image cannot be used                              (ValueError)
│   ├── FormatRefused        its bytes are of no format on the allow-list
│   ├── ImageTooLarge        more pixels than the cap, told by the header
│   └── ImageCorrupt         the decoder gave up
├── EncoderError             a model cannot be built or run
│   ├── ModelNotFound        no model of that name                                 (LookupError)
│   │   └── EncoderRemoved   a model of that name existed in an earlier version
│   ├── TextUnsupported      the model takes no texts                              (ValueError)
│   ├── TextUnknown          the model knows no word of a text                     (ValueError)
│   ├── WeightsNotFound      no weights at hand and none to be downloaded          (OSError)
│   ├── WeightsInvalid       the file is not weights, or not of this model         (ValueError)
│   └── EncoderMismatch      the collection holds another encoder's vectors        (ValueError)
├── BackendError             a vector store refused or failed
│   ├── CollectionNotFound   no collection of that name                            (LookupError)
│   ├── SchemaMismatch       the collection exists with another schema             (ValueError)
│   ├── DimensionMismatch    a vector's length is not the collection's             (ValueError)
│   ├── VectorInvalid        a vector holds NaN, infinity or only zeros            (ValueError)
│   ├── FieldInvalid         a field, id or filter does not fit the schema         (ValueError)
│   ├── IndexRefused         the store did not build the index that was asked for
│   ├── StoreLocked          another process has the store open
│   └── BackendUnavailable   no answer in time; safe to retry                      (ConnectionError)
├── OperatorNotFound         a pipeline names an operator that nobody registered   (LookupError)
├── DatasetError             a folder, csv or archive is not what it should be     (ValueError)
├── DownloadError            published data did not come from where it lies        (OSError)
├── PrecisionUnreached       no threshold is as precise as was asked for           (ValueError)
├── CatalogError             the catalogue's database refused or failed
│   └── CatalogOutdated      it is of a newer version than the code
├── ImageNotFound            the catalogue has no image of that id                 (LookupError)
├── ImageExists              the id is another image's                             (ValueError)
├── ImageBusy                it is being deleted; safe to retry
├── ObjectStoreError         where originals lie refused or failed
│   └── ObjectNotFound       no original of that content                           (LookupError)
├── JobBusy                  it waits or runs: cancel it first
├── JobNotFound              no job of that id                                     (LookupError)
├── LimitExceeded            more, larger or faster than is allowed                (ValueError)
└── AccessDenied             no key, or one that is not known                      (PermissionError)
    └── ScopeMissing         the key does not allow it

UserWarning
├── TextWarning              the model was not trained on the script of a text
└── EncoderWarning           nothing shows which encoder made a collection
"""

from imgsearch.distribution import install_hint


class ImgSearchError(Exception):
    """Root of the tree above; catch this to catch all of ours."""


class ConfigError(ImgSearchError, ValueError):
    """A URL, option, name or environment variable is wrong."""


class MissingExtra(ImgSearchError, ImportError):
    """An optional dependency is not installed.

    `extra` is the extra that brings it, as "torch,clip"; the message ends with its command. None:
    the message itself has the remedy.
    """

    def __init__(self, message: str, *, extra: str | None = None, name: str | None = None) -> None:
        if extra is not None:
            message = f"{message}, which is not installed. Run {install_hint(extra)}."
        super().__init__(message, name=name)
        self.extra = extra


class SourceError(ImgSearchError, OSError):
    """A file, folder or list cannot be read."""

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.path = path

    def __str__(self) -> str:
        """Return the message as given (OSError would rearrange it)."""
        return str(self.args[0]) if self.args else ""


class UrlRefused(SourceError):
    """A URL that must not be fetched: its scheme, its address, a redirect, its size."""


class UrlFailed(SourceError):
    """A URL that could not be fetched."""


class ImageError(ImgSearchError, ValueError):
    """One image cannot be used.

    `path` is the file ("" for bytes), `stage` one of "header", "decode", "convert",
    `reason` the cause in a few words.
    """

    def __init__(
        self, message: str, *, path: str = "", stage: str = "decode", reason: str = ""
    ) -> None:
        super().__init__(message)
        self.path, self.stage, self.reason = path, stage, reason


class FormatRefused(ImageError):
    """The bytes are of no format on the allow-list."""


class ImageTooLarge(ImageError):
    """Decoding would take more pixels, seconds or memory than allowed, by the header."""


class ImageCorrupt(ImageError):
    """The decoder gave up on the bytes."""


class EncoderError(ImgSearchError):
    """A model cannot be built or run."""


class ModelNotFound(EncoderError, LookupError):
    """No model of that name."""


class EncoderRemoved(ModelNotFound):
    """The model existed in an earlier version; collections of it accept vectors as queries only."""


class TextUnsupported(EncoderError, ValueError):
    """The model takes images only."""


class TextUnknown(EncoderError, ValueError):
    """The model knows no word of the text, so it has no direction."""


class WeightsNotFound(EncoderError, OSError):
    """No weights at hand and none to be downloaded."""


class WeightsInvalid(EncoderError, ValueError):
    """The file is not weights, or not the weights of this model."""


class EncoderMismatch(EncoderError, ValueError):
    """The collection holds another encoder's vectors."""


class BackendError(ImgSearchError):
    """A vector store refused or failed; `__cause__` is the driver's error."""


class CollectionNotFound(BackendError, LookupError):
    """No collection of that name."""


class SchemaMismatch(BackendError, ValueError):
    """The collection exists with another schema."""


class DimensionMismatch(BackendError, ValueError):
    """A vector's length is not the collection's."""

    def __init__(self, message: str, *, expected: int = 0, got: int = 0) -> None:
        super().__init__(message)
        self.expected, self.got = expected, got


class VectorInvalid(BackendError, ValueError):
    """A vector holds NaN, infinity or only zeros."""


class FieldInvalid(BackendError, ValueError):
    """A field, id or filter does not fit the schema."""


class IndexRefused(BackendError):
    """The store did not build the index that was asked for."""


class StoreLocked(BackendError):
    """Another process has the store open."""


class BackendUnavailable(BackendError, ConnectionError):
    """No answer in time; safe to retry."""


class OperatorNotFound(ImgSearchError, LookupError):
    """A pipeline names an operator that nobody registered."""


class PrecisionUnreached(ImgSearchError, ValueError):
    """No threshold is as precise as was asked for.

    `wanted` is the precision that was asked for and `best` the highest one reached, in [0, 1].
    Where a threshold was found and its check denied it, `checked` is the precision of the check and
    `interval` its 95 % confidence interval; else both are None.
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
    """A folder, csv or archive is not the dataset, or not the labelled one, that it should be."""


class DownloadError(ImgSearchError, OSError):
    """Published data did not come from where it lies."""


class CatalogError(ImgSearchError):
    """The catalogue's database refused or failed."""


class CatalogOutdated(CatalogError):
    """The catalogue was written by a newer version of the code."""


class ImageNotFound(ImgSearchError, LookupError):
    """The catalogue has no image of that id."""


class ImageExists(ImgSearchError, ValueError):
    """The id is another image's."""


class ImageBusy(ImgSearchError):
    """The image is being deleted; safe to retry."""


class ObjectStoreError(ImgSearchError):
    """The store of originals refused or failed."""


class ObjectNotFound(ObjectStoreError, LookupError):
    """The store has no original of that content."""


class JobNotFound(ImgSearchError, LookupError):
    """There is no job of that id."""


class JobBusy(ImgSearchError):
    """The job waits or runs: cancel it first."""


class LimitExceeded(ImgSearchError, ValueError):
    """More, larger or faster than is allowed."""


class AccessDenied(ImgSearchError, PermissionError):
    """No key was given, or one that is not known."""


class ScopeMissing(AccessDenied):
    """The key does not allow what was asked for."""


class TextWarning(UserWarning):
    """The text is in a script that the model was not trained on, so its hits mean little."""


class EncoderWarning(UserWarning):
    """Nothing shows that the collection's vectors were made by the encoder that the user named."""
