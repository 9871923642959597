"""The frames of videos among the images of a source."""

from collections.abc import Callable, Iterable, Iterator

from imgsearch.errors import ImgSearchError
from imgsearch.images import videos
from imgsearch.images.decoder import MAX_PIXELS
from imgsearch.images.moments import SECONDS, VIDEO, moment_path
from imgsearch.images.references import Reference
from imgsearch.images.sampling import Sampling
from imgsearch.images.sources import is_remote, printable


def is_video_file(image: Reference) -> bool:
    """Return whether a reference is a video's file."""
    return image.content is None and not is_remote(image.path) and videos.is_video(image.path)


def frames_of(
    video: Reference, sampling: Sampling, *, max_pixels: int = MAX_PIXELS
) -> Iterator[Reference]:
    """Yield the frames of a video as images in memory, with its label and fields.

    Raises: as for `videos.frames`.
    """
    for seconds, pixels in videos.frames(video.path, sampling, max_pixels=max_pixels):
        fields = {**video.fields, VIDEO: printable(video.path), SECONDS: seconds}
        name = moment_path(video.path, seconds)
        yield Reference(name, video.label, fields=fields, content=videos.ppm(pixels))


def with_frames(
    images: Iterable[Reference], sampling: Sampling, ignored: Callable[[str], None]
) -> Iterator[Reference]:
    """Yield the images, with the frames of each video in its place.

    An error of a video is the content of a reference. `ignored` is called with each video if the
    sampling takes no frames.
    """
    for image in images:
        if not is_video_file(image):
            yield image
        elif not sampling:
            ignored(image.path)
        else:
            try:
                yield from frames_of(image, sampling)
            except ImgSearchError as error:
                yield Reference(image.path, content=error)
