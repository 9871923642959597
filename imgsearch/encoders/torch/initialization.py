"""Builds modules without drawing random weights, for modules whose weights are read from a file."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from imgsearch.encoders.torch.imports import frameworks

# methods of tensors, and functions of torch.nn.init
_DRAWS: Final = frozenset(
    ("uniform_", "normal_", "trunc_normal_", "erfinv_", "kaiming_uniform_", "kaiming_normal_",
     "xavier_uniform_", "xavier_normal_", "orthogonal_")
)  # fmt: skip


@contextmanager
def without_random_weights() -> Iterator[None]:
    """Skip random initialization inside the ``with`` block.

    Torch draws 138 million numbers for a VGG16 that `load_state_dict` then overwrites: 1.2 of the
    3.6 s that loading took. Inside the block such tensors keep whatever their memory holds, so
    each of them has to be overwritten afterwards. Constants are set as usual.

    >>> with without_random_weights():
    ...     layer = torch.nn.Linear(2, 3)
    >>> layer.load_state_dict(state)
    """
    torch = frameworks()[0]

    class Skip(torch.overrides.TorchFunctionMode):  # type: ignore[misc, name-defined]
        def __torch_function__(
            self,
            function: Callable[..., Any],
            types: object,
            args: tuple[Any, ...] = (),
            kwargs: Mapping[str, Any] | None = None,
        ) -> Any:
            named = kwargs or {}
            if getattr(function, "__name__", "") in _DRAWS:
                return args[0] if args else named["tensor"]
            return function(*args, **named)

    with Skip():
        yield
