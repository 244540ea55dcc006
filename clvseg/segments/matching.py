"""Names that outlive a refit: new clusters are matched with old ones by the customers they share."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

# A cluster with a smaller Jaccard similarity is another one: Hennig (2007) calls it dissolved.
LEAST = 0.5


def match_names(found: pd.Series, earlier: pd.Series) -> dict[str, str]:
    """Give clusters the names of the old clusters they continue.

    Old and new clusters are paired so that the sum of their Jaccard similarities is largest (Kuhn's Hungarian
    method); a pair counts when they share at least half of the customers in either. A cluster without a
    partner keeps its own name, with a number where an old cluster has that.

    Parameters
    ----------
    found : Series of str
        New cluster of each customer.
    earlier : Series of str
        What the old clusters make of the same customers, with the same index.

    Returns
    -------
    dict of str to str
        New name of each cluster of `found`; all are different.

    Examples
    --------
    >>> now = pd.Series(["recent", "recent", "recent", "long ago", "long ago"])
    >>> then = pd.Series(["regulars", "regulars", "guests", "guests", "guests"])
    >>> match_names(now, then)
    {'long ago': 'guests', 'recent': 'regulars'}
    """
    shared = pd.crosstab(found.to_numpy(), earlier.to_numpy())
    new, old = [str(name) for name in shared.index], [str(name) for name in shared.columns]
    count = shared.to_numpy(dtype=np.float64)
    either = count.sum(axis=1)[:, None] + count.sum(axis=0)[None, :] - count
    similar = count / either
    rows, columns = linear_sum_assignment(-similar)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    kept = {new[row]: old[column] for row, column in pairs if similar[row, column] >= LEAST}
    taken = set(kept.values())
    for name in new:
        if name not in kept:
            free = (f"{name} {number}" if number > 1 else name for number in range(1, len(count) + 2))
            kept[name] = next(one for one in free if one not in taken)
            taken.add(kept[name])
    return {name: kept[name] for name in new}
