"""What one request may cost: every input limit of the service."""

from dataclasses import dataclass, fields

from digits.errors import require


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds on a request and on concurrent work; the pixels of a picture are bounded in `digits.images`."""

    max_body_bytes: int = 20_000_000
    """Largest request body, declared or streamed."""
    max_files: int = 16
    """Most pictures in one multipart request."""
    max_batch: int = 1024
    """Most images in one tensor of the Open Inference Protocol."""
    num_threads: int = 2
    """Pictures decoded at the same time in one replica: bounds its memory, whatever people upload."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            require(
                isinstance(value, int) and value >= 1,
                f"{field.name} = {value!r}",
                "a whole number, at least 1",
                f"leave {field.name} out to use {field.default}",
            )
