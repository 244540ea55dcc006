"""Risk: the probability of no purchase within the horizon."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={"model": ["ChurnModel"]})
