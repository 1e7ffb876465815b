from pathlib import Path

import pytest

FEATURES = """
entities:
  customer: {keys: {customer: int}}
sources:
  orders:
    path: orders.csv
    time: time
    owner: sales
    columns:
      amount: {type: float, unit: GBP}
      country: {type: str}
views:
  customer:
    description: What a customer bought.
    source: orders
    entity: customer
    request: {basket: {type: float, unit: GBP}}
    features:
      orders: {kind: aggregate, function: count, description: Number of orders.}
      spent_90d: {kind: aggregate, function: sum, column: amount, window: 90d}
      last_country: {kind: lag, column: country}
      recency: {kind: time_since}
      per_order: {kind: arithmetic, op: /, columns: [spent_90d, orders]}
      weekday: {kind: calendar, part: day_of_week}
"""

ORDERS = """customer,time,amount,country
1,2024-01-01T10:00:00,10.0,UK
2,2024-01-02T10:00:00,5.5,FR
1,2024-02-01T10:00:00,20.0,UK
1,2024-03-15T12:00:00,,DE
3,2024-03-20T09:00:00,7.0,UK
"""


@pytest.fixture
def features_file(tmp_path: Path) -> Path:
    """A features file beside its table of orders."""
    (tmp_path / "orders.csv").write_text(ORDERS)
    file = tmp_path / "features.yaml"
    file.write_text(FEATURES)
    return file
