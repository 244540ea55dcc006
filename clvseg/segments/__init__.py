"""Segments: RFM scores and clusters, value and risk tiers, and the named value-based segments."""

from clvseg.segments.clusters import Clusters
from clvseg.segments.describe import Segment, later_table, segments_table
from clvseg.segments.maps import customer_maps
from clvseg.segments.mixed import SegmentClassifier, sample_bias
from clvseg.segments.rfm import RFMScores, rfm_group
from clvseg.segments.rivals import compare_segmentations
from clvseg.segments.rules import Rule, learn_rules, rule_frame, rules_table
from clvseg.segments.scorecard import Later, scorecard, verdicts
from clvseg.segments.segmentation import Segmentation

__all__ = [
    "Clusters",
    "Later",
    "RFMScores",
    "Rule",
    "Segment",
    "SegmentClassifier",
    "Segmentation",
    "compare_segmentations",
    "customer_maps",
    "later_table",
    "learn_rules",
    "rfm_group",
    "rule_frame",
    "rules_table",
    "sample_bias",
    "scorecard",
    "segments_table",
    "verdicts",
]
