"""The player of a video on the page, which starts at the moment of a hit."""

from imgsearch.archive import Archive, Entry
from imgsearch.errors import ImgSearchError
from imgsearch.images.containers import MEDIA_TYPES, PLAYED
from imgsearch.images.moments import title
from imgsearch.ui.gallery import DETAIL, data_url, text
from imgsearch.ui.originals import link


def player(archive: Archive, entry: Entry) -> str:
    """Return the player of a frame's video, "" for other images and formats of no browser.

    The frame is shown until the video is loaded, and stays if the browser lacks the codec.
    """
    if not entry.video or MEDIA_TYPES.get(entry.format) not in PLAYED:
        return ""
    try:
        poster = f' poster="{data_url(archive.thumbnail(entry.id, DETAIL))}"'
    except ImgSearchError:  # the video of a folder does not exist any more
        poster = ""
    return (
        f'<video controls playsinline preload="metadata"{poster} '
        f'aria-label="{text(title(entry.name))}" '
        f'src="{text(link(entry.id))}#t={entry.seconds:g}"></video>'
        '<p class="says warning" hidden>This browser cannot play the video. Download it.</p>'
    )
