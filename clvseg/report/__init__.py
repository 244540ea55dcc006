"""The report of a run: content as plain data, then one self-contained page."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "pictures": ["figures"],
        "html": ["render", "segment_picture", "write_charts", "write_report"],
    },
)
