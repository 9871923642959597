"""Size and count checks shared by the image formats."""

from imgsearch.errors import ImageTooLarge


def check_count(number: int, most: int, what: str) -> None:
    """Reject a number above `most`; `what` names the counted items in the message.

    Raises:
        ImageTooLarge: `number` exceeds `most`.
    """
    if number > most:
        raise ImageTooLarge(f"more than {most:,} {what}")


def check_size(width: int, height: int, max_pixels: int | None) -> None:
    """Reject an image whose declared size exceeds the pixel limit.

    Raises:
        ImageTooLarge: the image has more than `max_pixels`.
    """
    if max_pixels is not None and width * height > max_pixels:
        raise ImageTooLarge(f"{width:,} x {height:,} pixels, at most {max_pixels:,} are decoded")
