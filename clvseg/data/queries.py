"""Every SQL text over the cleaned tables, once, in DuckDB's dialect.

Tables: ``lines`` (customer_id, day, amount and the mapped extras) and ``purchases`` (one row per customer and
day with a purchase: customer_id, day, amount, lines, orders, quantity, refund_lines, first_day, gap and
log_gap). Amounts are DECIMAL:
sums are exact, so they do not depend on the order in which threads add them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping

_MISSING = "'', 'nan', 'null', 'none', 'n/a', '<na>', 'nat'"
WINDOWS = (7, 14, 28, 56, 91, 182, 364)


def given(as_text: str) -> str:
    """Condition: the text is there and does not stand for a missing value."""
    return f"({as_text} IS NOT NULL AND lower(trim({as_text})) NOT IN ({_MISSING}))"


def date(day: dt.date) -> str:
    """A day as a literal."""
    return f"DATE '{day.isoformat()}'"


def parsed_lines(
    table: str,
    customer: str,
    day: str,
    amount: tuple[str, str],
    extras: Mapping[str, str],
    converted: bool,
) -> str:
    """Make ``parsed``: each line read, with the reason why it is kept or left out.

    Its parameters: drop zero amounts, drop refunds, latest plausible day. Amounts to be `converted` are
    multiplied by their rate in ``rates`` (code, begin, until, rate).
    """
    more = "".join(f", {sql} AS {column}" for column, sql in sorted(extras.items()))
    names = "".join(f", {column}" for column in sorted(extras))
    rated = "as_read"
    if converted:
        rated = "as_read LEFT JOIN rates ON currency = code AND day >= begin AND day < until"
    rate, money = ("rate", "money * coalesce(rate, 1.0)") if converted else ("1.0", "money")
    return f"""
    CREATE TEMP TABLE parsed AS
    WITH as_read AS (
        SELECT {customer} AS customer_id, {day} AS day, {amount[0]} AS money, {amount[1]} AS price{more}
        FROM {table}
    ), exact AS (
        SELECT customer_id, day, price, money, {rate} AS rate,
               TRY_CAST({money} AS DECIMAL(18, 4)) AS amount{names}
        FROM {rated}
    )
    SELECT customer_id, day, amount{names}, amount = 0 AND money <> 0 AS rounded_away, CASE
        WHEN customer_id IS NULL THEN 'no customer'
        WHEN day IS NULL THEN 'no date'
        WHEN day < DATE '1970-01-01' OR day > CAST($3 AS DATE) THEN 'impossible date'
        WHEN amount IS NULL THEN 'no amount'
        WHEN price < 0 THEN 'negative price'
        WHEN amount = 0 AND $1 THEN 'zero dropped'
        WHEN amount < 0 AND $2 THEN 'refund dropped'
        WHEN rate IS NULL THEN 'no rate'
        ELSE 'kept' END AS reason
    FROM exact
    """


LINE_COUNTS = """
SELECT reason, count(*) AS lines, count(*) FILTER (WHERE amount = 0) AS zeros,
       count(*) FILTER (WHERE rounded_away) AS rounded_away,
       count(*) FILTER (WHERE amount < 0) AS refunds,
       coalesce(-sum(amount) FILTER (WHERE amount < 0), 0) AS refund_money
FROM parsed GROUP BY reason
"""


def padded_customers(kind: str) -> str:
    """Count the ids that trimming would merge with another."""
    if kind == "integer":
        return "SELECT 0 AS padded_customers"
    return """
    SELECT count(DISTINCT customer_id) - count(DISTINCT trim(customer_id)) AS padded_customers
    FROM parsed WHERE reason = 'kept'
    """


# Currencies, or days of them, of which no rate is known.
UNRATED = """
SELECT coalesce(nullif(currency, ''), '(empty)') AS currency, count(*) AS lines,
       min(day) AS first, max(day) AS last
FROM parsed WHERE reason = 'no rate' GROUP BY 1 ORDER BY lines DESC, currency
"""

CURRENCIES = """
SELECT currency, count(*) AS lines FROM parsed
WHERE reason = 'kept' AND currency IS NOT NULL AND currency <> ''
GROUP BY currency ORDER BY lines DESC, currency
"""


def lines(extras: Collection[str]) -> str:
    """Rows of ``lines``: the kept ones."""
    more = "".join(f", {column}" for column in extras)
    return f"SELECT customer_id, day, amount{more} FROM parsed WHERE reason = 'kept'"


def customer_days(has_order: bool, has_quantity: bool) -> str:
    """Make ``customer_days``: lines of one customer and day together, refunds netted."""
    orders = "count(DISTINCT order_id) FILTER (WHERE amount >= 0)" if has_order else "1"
    quantity = "coalesce(sum(quantity) FILTER (WHERE amount >= 0), 0)" if has_quantity else "0"
    return f"""
    CREATE TEMP TABLE customer_days AS
    SELECT customer_id, day, CAST(sum(amount) AS DECIMAL(18, 4)) AS amount,
           CAST(count(*) FILTER (WHERE amount >= 0) AS INTEGER) AS lines,
           CAST(greatest({orders}, 1) AS INTEGER) AS orders,
           CAST({quantity} AS DECIMAL(18, 4)) AS quantity,
           CAST(count(*) FILTER (WHERE amount < 0) AS INTEGER) AS refund_lines
    FROM lines GROUP BY customer_id, day
    """


DAY_COUNTS = """
SELECT count(*) FILTER (WHERE amount <= 0 AND lines > 0 AND refund_lines > 0) AS wiped_days,
       coalesce(-sum(amount) FILTER (WHERE amount <= 0 AND lines > 0 AND refund_lines > 0), 0) AS wiped_money,
       count(*) FILTER (WHERE lines = 0) AS refund_only_days,
       coalesce(-sum(amount) FILTER (WHERE lines = 0), 0) AS refund_only_money,
       count(DISTINCT customer_id) AS customers_seen
FROM customer_days
"""

_PURCHASE = "customer_id, day, amount, lines, orders, quantity, refund_lines"


def purchases(days: str) -> str:
    """Rows of ``purchases``, of customers' days or of purchases from several places.

    Each knows the customer's first day, the days since the previous one (``gap``) and their logarithm in
    millionths: what is asked as of a day needs no sort, and integers add up in any order.
    """
    return f"""
    SELECT *, CAST(round(ln(gap) * 1e6) AS INTEGER) AS log_gap
    FROM (SELECT {_PURCHASE}, first_value(day) OVER past AS first_day,
                 date_diff('day', lag(day) OVER past, day) AS gap
          FROM {days} WHERE amount > 0 OR refund_lines = 0
          WINDOW past AS (PARTITION BY customer_id ORDER BY day))
    """


PURCHASE_COUNTS = """
SELECT count(*) AS purchases, count(*) FILTER (WHERE gap IS NULL) AS customers,
       coalesce(CAST(sum(orders) - count(*) AS BIGINT), 0) AS same_day_orders,
       coalesce(CAST(sum(lines) - count(*) AS BIGINT), 0) AS same_day_lines,
       CAST(coalesce(sum(amount), 0) AS DOUBLE) AS revenue,
       min(day) AS first_day, greatest(max(day), (SELECT max(day) FROM lines)) AS last_day
FROM purchases
"""


def customer_summary(as_of: dt.date, until: dt.date) -> str:
    """Columns of ``frames.SUMMARY`` as of a day, of what was known `until` a day."""
    return f"""
    SELECT customer_id,
           count(*) - 1 AS frequency,
           date_diff('day', min(day), max(day)) AS recency,
           date_diff('day', min(day), {date(as_of)}) AS T,
           CASE WHEN count(*) > 1
               THEN CAST(sum(amount) - min_by(amount, day) AS DOUBLE) / (count(*) - 1)
               ELSE 0.0 END AS monetary_value,
           date_diff('day', max(day), {date(as_of)}) AS since_last,
           CAST(coalesce(sum(log_gap), 0) AS DOUBLE) / 1e6 AS log_gaps
    FROM purchases WHERE day <= {date(until)} GROUP BY customer_id ORDER BY customer_id
    """


def outcomes(as_of: dt.date, until: dt.date) -> str:
    """Revenue and purchase days after the day, of every customer seen up to it."""
    later = f"day > {date(as_of)}"
    return f"""
    SELECT customer_id, CAST(coalesce(sum(amount) FILTER (WHERE {later}), 0) AS DOUBLE) AS value,
           count(*) FILTER (WHERE {later}) AS purchases,
           CAST(count(*) FILTER (WHERE {later}) > 0 AS BIGINT) AS active
    FROM purchases WHERE day <= {date(until)}
    GROUP BY customer_id HAVING min(day) <= {date(as_of)} ORDER BY customer_id
    """


def waits(as_of: dt.date, until: dt.date) -> str:
    """Days from the day to each customer's next purchase, of every customer seen up to it.

    `until` is where observation ends: those who did not return by then have waited as long.
    """
    first = f"min(day) FILTER (WHERE day > {date(as_of)})"
    return f"""
    SELECT customer_id,
           CAST(date_diff('day', {date(as_of)}, coalesce({first}, {date(until)})) AS BIGINT) AS days,
           CAST({first} IS NOT NULL AS BIGINT) AS returned
    FROM purchases WHERE day <= {date(until)}
    GROUP BY customer_id HAVING min(day) <= {date(as_of)} ORDER BY customer_id
    """


def revenue_by_week(until: dt.date) -> str:
    """Revenue, purchases, customers and new customers of each week with a purchase."""
    return f"""
    SELECT CAST(date_trunc('week', day) AS DATE) AS week, CAST(sum(amount) AS DOUBLE) AS revenue,
           count(*) AS purchases, count(DISTINCT customer_id) AS customers,
           count(*) FILTER (WHERE day = first_day) AS new_customers
    FROM purchases WHERE day <= {date(until)}
    GROUP BY ALL ORDER BY week
    """


def counts(until: dt.date) -> str:
    """Customers, purchases, revenue and lines up to the day."""
    return f"""
    SELECT count(*) AS purchases, count(*) FILTER (WHERE gap IS NULL) AS customers,
           CAST(coalesce(sum(amount), 0) AS DOUBLE) AS revenue,
           (SELECT count(*) FROM lines WHERE day <= {date(until)}) AS lines
    FROM purchases WHERE day <= {date(until)}
    """


def content_hash(extras: Collection[str], until: dt.date) -> str:
    """Sum of the hashes of the lines: equal for equal lines in any order."""
    columns = ", ".join(("customer_id", "day", "amount", *extras))
    return f"""
    SELECT count(*) AS n, CAST(coalesce(sum(hash({columns})), 0) AS VARCHAR) AS total
    FROM lines WHERE day <= {date(until)}
    """


def purchases_between(after: dt.date, until: dt.date) -> str:
    """Purchases after one day up to another."""
    return f"""
    SELECT {_PURCHASE} FROM purchases WHERE day > {date(after)} AND day <= {date(until)}
    ORDER BY customer_id, day
    """


def summed_lines(extras: Collection[str], after: dt.date, until: dt.date) -> str:
    """``lines`` after one day up to another, summed as far as no feature shows it.

    Order numbers and quantities are in ``purchases`` already: their columns are there, but empty.
    """
    kept = [column for column in extras if column not in ("order_id", "quantity")]
    made = "".join(f", CAST({column} AS VARCHAR) AS {column}" for column in kept)
    empty = "".join(f", NULL AS {column}" for column in extras if column not in kept)
    groups = "".join(f", {column}" for column in kept)
    return f"""
    SELECT customer_id, max(day) AS day, sum(amount) AS amount{groups}{empty}
    FROM (SELECT customer_id, day, amount, amount < 0 AS back{made} FROM lines
          WHERE day > {date(after)} AND day <= {date(until)})
    GROUP BY customer_id, back{groups} ORDER BY customer_id
    """


# What is summed over each customer's purchases; logarithms in millionths, as integers. The day that weekends
# are counted from is a Monday.
_SUMS = """
    max(age) AS age, min(ago) AS since_last, count(*) AS n, count(gap) AS gaps,
    CAST(sum(amount) AS DOUBLE) AS revenue,
    CAST(sum(amount) - min_by(amount, day) AS DOUBLE) AS repeat_revenue,
    CAST(min_by(amount, day) AS DOUBLE) AS first_amount,
    CAST(max_by(amount, day) AS DOUBLE) AS last_amount,
    CAST(max(amount) AS DOUBLE) AS max_amount,
    CAST(coalesce(sum(gap), 0) AS DOUBLE) AS gap_sum,
    CAST(coalesce(sum(gap * gap), 0) AS DOUBLE) AS gap_squares,
    CAST(coalesce(sum(log_gap), 0) AS DOUBLE) / 1e6 AS log_gap_sum,
    max(gap) AS gap_max, max_by(gap, day) AS gap_last,
    count(log_amount) AS paid,
    CAST(coalesce(sum(log_amount), 0) AS DOUBLE) / 1e6 AS log_amount_sum,
    CAST(coalesce(sum(log_amount * log_amount), 0) AS DOUBLE) / 1e12 AS log_amount_squares,
    count(gap) FILTER (WHERE 2 * ago < age) AS recent,
    CAST(coalesce(sum(amount) FILTER (WHERE 2 * ago < age), 0) AS DOUBLE) AS recent_revenue,
    count(*) FILTER (WHERE 2 * ago < age) AS recent_orders,
    count(*) FILTER (WHERE gap IS NULL OR ago // 7 < (ago + gap) // 7) AS weeks,
    count(*) FILTER (WHERE date_diff('day', DATE '1969-12-29', day) % 7 >= 5) AS weekend,
    count(*) FILTER (WHERE ago BETWEEN 364 - 91 AND 363) AS season,
    CAST(sum(lines) AS DOUBLE) AS lines, CAST(sum(orders) AS DOUBLE) AS orders_within,
    CAST(sum(quantity) AS DOUBLE) AS quantity
"""

# What follows from the sums alone.
_DERIVED = """
    n - 1 AS repeats, coalesce(gap_sum / nullif(gaps, 0), greatest(age, 1)) AS gap_mean,
    CASE WHEN gaps > 1 THEN sqrt(greatest(
        gap_squares / gaps - (gap_sum / gaps) * (gap_sum / gaps), 0.0)) END AS spread,
    recent_orders > 0 AND n > recent_orders AND recent_revenue > 0
        AND revenue > recent_revenue AS both_halves
"""

# The features every log has.
_FEATURES = """
    CAST(repeats AS DOUBLE) AS frequency,
    CAST(age - since_last AS DOUBLE) AS recency,
    CAST(age AS DOUBLE) AS T,
    CASE WHEN repeats > 0 THEN repeat_revenue / repeats ELSE 0.0 END AS monetary_value,
    CAST(since_last AS DOUBLE) AS since_last,
    CAST(n AS DOUBLE) AS orders,
    revenue AS past_revenue,
    revenue / n AS mean_spend,
    first_amount, last_amount, max_amount,
    CASE WHEN revenue > 0 THEN last_amount / (revenue / n) ELSE 1.0 END AS last_to_mean_amount,
    CASE WHEN paid > 1 THEN sqrt(greatest(log_amount_squares / paid
        - (log_amount_sum / paid) * (log_amount_sum / paid), 0.0)) ELSE 0.0 END AS amount_spread,
    CASE WHEN both_halves
        THEN ln((recent_revenue / recent_orders) / ((revenue - recent_revenue) / (n - recent_orders)))
        ELSE 0.0 END AS amount_trend,
    CAST(gap_mean AS DOUBLE) AS gap_mean,
    coalesce(spread, 0.0) AS gap_sd,
    coalesce(spread / gap_mean, 1.0) AS gap_cv,
    CASE WHEN gaps > 1 THEN exp(log_gap_sum / gaps) / gap_mean ELSE 0.0 END AS regularity,
    CAST(coalesce(gap_last, greatest(age, 1)) AS DOUBLE) AS gap_last,
    CAST(coalesce(gap_max, greatest(age, 1)) AS DOUBLE) AS gap_max,
    since_last / gap_mean AS overdue,
    CAST(since_last AS DOUBLE) / coalesce(gap_max, greatest(age, 1)) AS overdue_longest,
    CASE WHEN repeats > 0 THEN (2e0 * recent - repeats) / repeats ELSE 0.0 END AS trend,
    30.4375e0 * n / greatest(age, 30) AS orders_per_month,
    30.4375e0 * revenue / greatest(age, 30) AS spend_per_month,
    CAST(weeks AS DOUBLE) / (age // 7 + 1) AS week_share,
    CAST(weekend AS DOUBLE) / n AS weekend_share,
    CAST(season AS DOUBLE) AS orders_same_season,
    lines / n AS lines_per_order,
    CASE WHEN refunded > 0 THEN refunded / (refunded + paid_money) ELSE 0.0 END AS refund_share
"""


EVERYBODY = "true"


def drawn(share: float) -> str:
    """Condition: the customer belongs to a share of all, the same in every engine and on every day."""
    edge = f"{min(int(share * 16**8), 16**8 - 1):08x}"
    return f"substr(md5(CAST(customer_id AS VARCHAR)), 1, 8) < '{edge}'"


def buyers(condition: str) -> str:
    """Make ``drawn``: ids of the customers with a purchase who meet a condition."""
    return f"CREATE TEMP TABLE drawn AS SELECT customer_id FROM purchases WHERE gap IS NULL AND {condition}"


def of_drawn(table: str) -> str:
    """Rows of a table whose customer is among the drawn ones."""
    return f"SELECT * FROM {table} WHERE customer_id IN (SELECT customer_id FROM drawn)"


def customers(until: dt.date) -> str:
    """Ids of all who bought by the day, ascending."""
    known = f"gap IS NULL AND day <= {date(until)}"
    return f"SELECT customer_id FROM purchases WHERE {known} ORDER BY customer_id"


def every_nth_customer(until: dt.date, nth: int) -> str:
    """First customer, by id, of each block of `nth` who bought by the day."""
    return f"""
    SELECT customer_id FROM (
        SELECT customer_id, row_number() OVER (ORDER BY customer_id) - 1 AS place
        FROM ({customers(until)}))
    WHERE place % {nth} = 0 ORDER BY customer_id
    """


def customer_features(as_of: dt.date, until: dt.date, extras: Collection[str], among: str = EVERYBODY) -> str:
    """Behaviour of every customer as of a day; the columns are those of ``features.FEATURES``.

    `among` is a condition on ``customer_id``.
    """
    windows = ", ".join(
        f"CAST(count(*) FILTER (WHERE ago < {w}) AS DOUBLE) AS orders_{w}d, "
        f"CAST(coalesce(sum(amount) FILTER (WHERE ago < {w}), 0) AS DOUBLE) AS spend_{w}d"
        for w in WINDOWS
    )
    breadth, features = _breadth_features(extras)
    return f"""
    WITH known AS (
        SELECT customer_id, day, amount, lines, orders, quantity, gap, log_gap,
               date_diff('day', day, {date(as_of)}) AS ago,
               date_diff('day', first_day, {date(as_of)}) AS age,
               CASE WHEN amount > 0
                   THEN CAST(round(ln(CAST(amount AS DOUBLE)) * 1e6) AS BIGINT) END AS log_amount
        FROM purchases WHERE day <= {date(until)} AND {among}
    ), per_customer AS (
        SELECT customer_id, {_SUMS}, {windows} FROM known GROUP BY customer_id
    ), per_line AS (
        SELECT customer_id,
               CAST(coalesce(-sum(amount) FILTER (WHERE amount < 0), 0) AS DOUBLE) AS refunded,
               CAST(coalesce(sum(amount) FILTER (WHERE amount > 0), 0) AS DOUBLE) AS paid_money
               {breadth}
        FROM lines WHERE day <= {date(until)} AND {among} GROUP BY customer_id
    ), derived AS (
        SELECT *, {_DERIVED} FROM per_customer
    )
    SELECT customer_id, {_FEATURES}, {_basket_features(extras)}{features}
           {", ".join(f"orders_{w}d, spend_{w}d" for w in WINDOWS)}
    FROM derived JOIN per_line USING (customer_id) ORDER BY customer_id
    """


def _basket_features(extras: Collection[str]) -> str:
    """Columns that need an order number or a quantity."""
    out = "orders_within / n AS orders_per_day, " if "order_id" in extras else ""
    return out + ("quantity / n AS quantity_per_order, " if "quantity" in extras else "")


def _breadth_features(extras: Collection[str]) -> tuple[str, str]:
    """Counts of distinct products, categories and channels: inner and outer columns."""
    plural = {"product_id": "products", "category": "categories", "channel": "channels"}
    inner = "".join(
        f", count(DISTINCT {column}) FILTER (WHERE amount >= 0) AS {many}"
        for column, many in plural.items() if column in extras
    )  # fmt: skip
    outer = "".join(
        f"CAST({many} AS DOUBLE) AS {many}, " for column, many in plural.items() if column in extras
    )
    if "product_id" in extras:
        outer += "CAST(products AS DOUBLE) / greatest(lines, 1) AS product_variety, "
    return inner, outer


def sums_at_repeats(until: dt.date, covariates: int) -> str:
    """Sums of the columns ``c0, c1 ...`` of ``calendar_days`` over each customer's repeat purchases.

    They are shares of 1, and rounded and summed as integers, so that the sum does not depend on its order.
    """
    sums = ", ".join(
        f"CAST(sum(CAST(round(c{i} * 1e15) AS BIGINT)) AS DOUBLE) / 1e15 AS c{i}" for i in range(covariates)
    )
    return f"""
    SELECT customer_id, {sums}
    FROM purchases JOIN calendar_days USING (day)
    WHERE day <= {date(until)} AND day > first_day
    GROUP BY customer_id
    """


def by_day(until: dt.date) -> str:
    """Purchases, revenue and new customers of each day with a purchase."""
    return f"""
    SELECT day, count(*) AS purchases, CAST(sum(amount) AS DOUBLE) AS revenue,
           count(*) FILTER (WHERE day = first_day) AS new_customers
    FROM purchases WHERE day <= {date(until)}
    GROUP BY day ORDER BY day
    """


def by_cohort_and_day(until: dt.date) -> str:
    """Purchases and revenue of each day, by the day on which the customers first bought."""
    return f"""
    SELECT first_day, day, count(*) AS purchases, CAST(sum(amount) AS DOUBLE) AS revenue
    FROM purchases WHERE day <= {date(until)}
    GROUP BY first_day, day ORDER BY first_day, day
    """


def first_channels(until: dt.date) -> str:
    """Channel of each customer's first day, the one with the most money on it."""
    return f"""
    WITH firsts AS (SELECT customer_id, min(day) AS day FROM purchases WHERE day <= {date(until)}
                   GROUP BY customer_id),
    paid AS (SELECT lines.customer_id, sum(lines.amount) AS money,
                    coalesce(nullif(trim(CAST(channel AS VARCHAR)), ''), 'unknown') AS channel
             FROM lines JOIN firsts ON lines.customer_id = firsts.customer_id AND lines.day = firsts.day
             GROUP BY ALL),
    ranked AS (SELECT *, row_number() OVER (PARTITION BY customer_id ORDER BY money DESC, channel) AS place
               FROM paid)
    SELECT customer_id, channel FROM ranked WHERE place = 1 ORDER BY customer_id
    """


def by_cohort_and_period(periods: Collection[tuple[dt.date, dt.date]], has_channel: bool) -> str:
    """Who bought and how much, by first day, its channel and period; periods are first and last days."""
    spans = ", ".join(f"({place}, {date(one[0])}, {date(one[1])})" for place, one in enumerate(periods))
    until = max(last for _, last in periods)
    channels = (first_channels(until) if has_channel else
                "SELECT DISTINCT customer_id, 'all' AS channel FROM purchases")  # fmt: skip
    return f"""
    WITH channels AS ({channels}),
    periods AS (SELECT * FROM (VALUES {spans}) AS given(place, start, until)),
    paid AS (SELECT purchases.customer_id, first_day, place, sum(amount) AS money
             FROM purchases JOIN periods ON day BETWEEN periods.start AND periods.until GROUP BY ALL)
    SELECT first_day, channel, place, count(*) AS active, CAST(sum(money) AS DOUBLE) AS revenue
    FROM paid JOIN channels ON paid.customer_id = channels.customer_id
    GROUP BY first_day, channel, place ORDER BY first_day, channel, place
    """


def between(first: dt.date, last: dt.date) -> str:
    """Revenue and purchase days of every customer who bought from one day to another."""
    return f"""
    SELECT customer_id, CAST(sum(amount) AS DOUBLE) AS revenue, count(*) AS purchases
    FROM purchases WHERE day BETWEEN {date(first)} AND {date(last)}
    GROUP BY customer_id ORDER BY customer_id
    """


def concentration(until: dt.date) -> str:
    """Repeat buyers, the largest customer, the largest purchase and the median purchase."""
    return f"""
    WITH known AS (SELECT customer_id, amount FROM purchases WHERE day <= {date(until)}),
    customers AS (SELECT customer_id, count(*) AS n, sum(amount) AS revenue FROM known GROUP BY customer_id)
    SELECT (SELECT count(*) FROM customers WHERE n > 1) AS repeat_buyers,
           (SELECT CAST(max(revenue) AS DOUBLE) FROM customers) AS top_customer_revenue,
           (SELECT CAST(max_by(customer_id, revenue) AS VARCHAR) FROM customers) AS top_customer,
           CAST(max(amount) AS DOUBLE) AS top_purchase,
           CAST(coalesce(median(amount) FILTER (WHERE amount > 0), 0) AS DOUBLE) AS median_purchase
    FROM known
    """
