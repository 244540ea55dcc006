"""Small boosted trees as tables: predictions and exact SHAP values of many rows in little time.

A tree of m splits answers each row with m yes or no, so 2^m lines say all it can say. Looking a row up costs
a few nanoseconds; walking the tree for SHAP values costs hundreds of times more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import factorial
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import lightgbm

FloatArray = NDArray[np.float64]

MOST_SPLITS = 8  # above, the tables grow larger than the processor's cache
FEWEST_ROWS = 2_000  # below, making the tables takes longer than they save
BLOCK = 25_000
_ZERO = float(np.float32(1e-35))
_WORDS = ("split_feature", "left_child", "right_child", "decision_type")
_NUMBERS = ("threshold", "leaf_value", "leaf_count", "internal_count")


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree; of m splits and m + 1 leaves.

    Attributes
    ----------
    feature : ndarray of int, shape (m,)
        Column that a split looks at; values up to `threshold` go left.
    threshold : ndarray of float, shape (m,)
        Of each split.
    left, right : ndarray of int, shape (m,)
        Where a split leads: another split, or ~leaf.
    value : ndarray of float, shape (m + 1,)
        Of each leaf.
    covers : ndarray of float, shape (m,), and leaf_covers, shape (m + 1,)
        Training rows that came there.
    """

    feature: NDArray[np.int64]
    threshold: FloatArray
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    value: FloatArray
    covers: FloatArray
    leaf_covers: FloatArray

    def paths(self) -> list[list[tuple[int, int, float]]]:
        """Way to each leaf: split, side (1 right), share of the split's rows that goes there."""
        found: dict[int, list[tuple[int, int, float]]] = {0: []} if not len(self.feature) else {}
        open_ways: list[tuple[int, list[tuple[int, int, float]]]] = [(0, [])] if len(self.feature) else []
        while open_ways:
            split, way = open_ways.pop()
            for side, child in enumerate((int(self.left[split]), int(self.right[split]))):
                cover = self.leaf_covers[~child] if child < 0 else self.covers[child]
                longer = [*way, (split, side, float(cover / self.covers[split]))]
                if child < 0:
                    found[~child] = longer
                else:
                    open_ways.append((child, longer))
        return [found[leaf] for leaf in range(len(self.value))]

    def answers(self) -> NDArray[np.int64]:
        """Every way of answering the splits, shape (2^m, m): 1 where a value lies above the threshold."""
        splits = len(self.feature)
        return (np.arange(2**splits)[:, None] >> np.arange(splits)) & 1

    def predictions(self) -> FloatArray:
        """Value of the leaf that each way of answering leads to, shape (2^m,)."""
        answers, table = self.answers(), np.empty(2 ** len(self.feature))
        for leaf, way in enumerate(self.paths()):
            here = np.ones(len(table), dtype=bool)
            for split, side, _ in way:
                here &= answers[:, split] == side
            table[here] = self.value[leaf]
        return table

    def contributions(self) -> tuple[NDArray[np.int64], FloatArray]:
        """SHAP values of each way of answering, where a split not asked goes both ways by its training rows.

        Lundberg, Erion & Lee (2018), eq. 2 and algorithm 1, for all answers at once: per leaf, the weights of
        the coalitions are the coefficients of a product over the features on its way.

        Returns
        -------
        features : ndarray of int, shape (k,)
            Columns the tree looks at, ascending.
        table : ndarray of float, shape (k, 2^m)
            Their contributions.
        """
        features, answers = np.unique(self.feature), self.answers()
        table = np.zeros((len(features), len(answers)))
        for leaf, way in enumerate(self.paths()):
            on_way = sorted({int(self.feature[split]) for split, _, _ in way})
            takes = {name: np.ones(len(answers)) for name in on_way}
            share = dict.fromkeys(on_way, 1.0)
            for split, side, part in way:
                takes[int(self.feature[split])] *= answers[:, split] == side
                share[int(self.feature[split])] *= part
            for name in on_way:
                others = [other for other in on_way if other != name]
                weight = _coalitions([takes[other] for other in others], [share[other] for other in others])
                place = np.searchsorted(features, name)
                table[place] += self.value[leaf] * (takes[name] - share[name]) * weight
        return features, table

    @property
    def mean(self) -> float:
        """Mean of the leaves over the training rows: what contributions start from."""
        return float(self.value @ self.leaf_covers / self.leaf_covers.sum())


def _coalitions(takes: Sequence[FloatArray], shares: Sequence[float]) -> FloatArray | float:
    """Shapley-weighted mean, over coalitions of the others, of the chance to get down the way."""
    sizes: list[FloatArray | float] = [1.0]
    for take, share in zip(takes, shares, strict=True):
        longer: list[FloatArray | float] = [share * sizes[0]]
        longer += [share * sizes[k] + take * sizes[k - 1] for k in range(1, len(sizes))]
        sizes = [*longer, take * sizes[-1]]
    n = len(takes)
    weights = [factorial(k) * factorial(n - k) / factorial(n + 1) for k in range(n + 1)]
    total: FloatArray | float = 0.0
    for weight, size in zip(weights, sizes, strict=True):
        total = total + weight * size
    return total


@dataclass(frozen=True)
class Tables:
    """A booster's trees, to look rows up in.

    Attributes
    ----------
    trees : list of Tree
        In the booster's order.
    """

    trees: list[Tree]

    @classmethod
    def of(cls, booster: lightgbm.Booster, rounds: int | None = None) -> Self | None:
        """Read a booster; None where a tree is too large, or asks what is no threshold on a number."""
        if booster.num_model_per_iteration() > 1:
            return None
        return cls.read(booster.model_to_string(num_iteration=rounds))

    @classmethod
    @lru_cache(maxsize=16)
    def read(cls, model: str) -> Self | None:
        """Read the text of a booster of one output, kept for the next rows that are looked up in it."""
        trees = []
        for block in model.split("\nTree=")[1:]:
            fields = dict(line.split("=", 1) for line in block.split("\n\n")[0].splitlines() if "=" in line)
            words = [np.array(fields.get(key, "").split(), dtype=np.int64) for key in _WORDS]
            numbers = [np.array(fields.get(key, "").split(), dtype=np.float64) for key in _NUMBERS]
            feature, left, right, decision = words
            threshold, value, leaf_covers, covers = numbers
            # LightGBM takes what lies this near to zero for zero, which is above this threshold.
            threshold = np.where(threshold == -_ZERO, np.nextafter(-_ZERO, -1.0), threshold)
            if len(feature) > MOST_SPLITS or (decision & ~2).any():
                return None
            if not len(feature):
                leaf_covers = np.ones(1)
            trees.append(Tree(feature, threshold, left, right, value, covers, leaf_covers))
        return cls(trees)

    @cached_property
    def _predictions(self) -> list[FloatArray]:
        return [tree.predictions() for tree in self.trees]

    @cached_property
    def _contributions(self) -> list[tuple[NDArray[np.int64], FloatArray]]:
        return [tree.contributions() for tree in self.trees]

    def predict(self, values: FloatArray) -> FloatArray:
        """Raw scores of rows without NaN, shape (rows,): what the booster predicts, to the last bit."""
        out = np.zeros(len(values))
        for start in range(0, len(values), BLOCK):
            block = np.ascontiguousarray(values[start : start + BLOCK].T)
            total = out[start : start + BLOCK]
            for tree, table in zip(self.trees, self._predictions, strict=True):
                total += table[_answers(tree, block)]
        return out

    def contributions(self, values: FloatArray) -> tuple[FloatArray, float]:
        """SHAP values of rows without NaN, shape (rows, features), and what they start from."""
        out = np.empty(values.shape)
        for start in range(0, len(values), BLOCK):
            block = np.ascontiguousarray(values[start : start + BLOCK].T)
            total = np.zeros(block.shape)
            for tree, (features, table) in zip(self.trees, self._contributions, strict=True):
                if not len(features):
                    continue
                codes = _answers(tree, block)
                for feature, line in zip(features, table, strict=True):
                    total[feature] += line[codes]
            out[start : start + BLOCK] = total.T
        return out, sum(tree.mean for tree in self.trees)


def raw_scores(booster: lightgbm.Booster, values: FloatArray, rounds: int | None = None) -> FloatArray:
    """Raw score of each row, shape (rows,); by tables where that is quicker, with the same result.

    Parameters
    ----------
    booster : lightgbm.Booster
        Of one output.
    values : ndarray of float, shape (rows, features)
        In the booster's order.
    rounds : int, optional
        Of so many trees only.
    """
    tables = _tables(booster, values, rounds)
    if tables is not None:
        return tables.predict(values)
    raw = booster.predict(values, raw_score=True, num_iteration=rounds, num_threads=1)
    return np.asarray(raw, dtype=np.float64)


def shap_of(booster: lightgbm.Booster, values: FloatArray) -> tuple[FloatArray, float] | None:
    """SHAP values of each row and what they start from; None where the tables are of no use."""
    tables = _tables(booster, values)
    return None if tables is None else tables.contributions(values)


def _tables(booster: lightgbm.Booster, values: FloatArray, rounds: int | None = None) -> Tables | None:
    if len(values) < FEWEST_ROWS or np.isnan(values).any():
        return None
    return Tables.of(booster, rounds)


def _answers(tree: Tree, block: FloatArray) -> NDArray[np.intp]:
    """Line of the tree's tables that each row of a block (features, rows) belongs to."""
    code = np.zeros(block.shape[1], dtype=np.uint8)
    for place, (feature, threshold) in enumerate(zip(tree.feature, tree.threshold, strict=True)):
        code |= (block[feature] > threshold).view(np.uint8) << np.uint8(place)
    return code.astype(np.intp)
