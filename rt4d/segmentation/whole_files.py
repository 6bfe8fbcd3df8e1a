"""Files that appear whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from rt4d.errors import OutputError
from rt4d.outputs import NO_SPACE


def write_file(path: Path, content: bytes | memoryview) -> Path:
    """The path, once its content is whole on the disk; what stood there before stays until then. Raises OutputError where the disk is full.

    Of several that write the same file at once, from threads or processes, the last one's content stays.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        if error.errno in NO_SPACE:
            raise OutputError("The disk is full", where=path, do="Free some space; what was written before is still whole") from error
        raise
    finally:
        beside.unlink(missing_ok=True)
    return path
