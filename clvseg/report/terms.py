"""The words of the report, explained once."""

from __future__ import annotations

from clvseg.report import words
from clvseg.run import Run

# Terms that mean the same in every run.
ALWAYS = (
    (
        "Value at risk",
        "Predicted revenue times the probability of no order, summed over customers: a measure of where "
        "attention pays, not a forecast of the loss.",
    ),
    ("Median", "Half of the customers lie below it, half above."),
    (
        "RFM",
        "Recency, frequency and money: each customer gets 1 to 5 for how lately, how often and for how "
        "much they ordered; 5 is best.",
    ),
    (
        "Ranking quality (Gini)",
        "1 when customers are ranked by value exactly as they turned out, 0 for a random order.",
    ),
    (
        "Error of the total",
        f"Predicted revenue of all customers against what came; +5{words.NBSP}% is predicted too high.",
    ),
    (
        "Error by tenth",
        "Customers in ten equal groups by prediction; the misses of the groups added up, as a share of "
        "revenue.",
    ),
    (
        "Pairs ranked right (AUC)",
        "Take one customer who ordered again and one who did not: how often the model gave the second "
        "the higher risk. 0.5 is chance, 1 is perfect.",
    ),
    (
        "Gap of the probabilities",
        "How far predicted probabilities were from what happened, on average over groups of customers.",
    ),
    (
        "Lift",
        "How many times more of those who did not order are among the riskiest tenth than among all. Lift "
        "quality is the mean lift over lists of every length, from 0 for chance to 1 for a perfect ranking: "
        "excellent from 0.6, good from 0.4, fair from 0.2.",
    ),
    (
        "Best profit per customer",
        "Expected maximum profit of a retention campaign that contacts the riskiest first, averaged over "
        "save rates: models that rank as well can earn differently.",
    ),
    (
        "Importance",
        "Mean absolute SHAP value: how much a piece of knowledge moves the predictions on average.",
    ),
)


def glossary(run: Run) -> tuple[tuple[str, str], ...]:
    """Term and meaning, with this run's horizon and limits in the text.

    Parameters
    ----------
    run : Run
        What a fit made.
    """
    horizon = words.duration(run.settings.horizon)
    level = words.percent(run.facts["total"]["level"])
    risk, value = run.settings.churn, run.settings.segments
    return (
        (
            "Predicted revenue",
            f"What today's customers are expected to spend in the next {horizon}. New customers are not in "
            "it.",
        ),
        (
            "Interval",
            f"The range the total falls into in {level} of cases, if the future behaves like the past. "
            "Those of the accuracy figures are 95"
            f"{words.NBSP}% intervals from resampled customers.",
        ),
        (
            "Probability of no order",
            f"How likely a customer places no order at all in the next {horizon}. Of 100 customers with "
            f"30{words.NBSP}%, about 30 should stay away. It is low risk below "
            f"{words.percent(risk.low)} and high risk from {words.percent(risk.high)} on.",
        ),
        (
            "Segment",
            "Every customer is in exactly one. High value customers together hold "
            f"{words.percent(value.high_value)} of the predicted revenue, middle ones the next "
            f"{words.percent(value.mid_value)}.",
        ),
        *ALWAYS,
    )
