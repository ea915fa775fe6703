"""The AdventureWorks sample company as `app.users` and `app.orders`, for tests on real input."""

from __future__ import annotations

from pathlib import Path

import duckdb

_USERS = """
create or replace table app.users as
with first_orders as (
    select user_id, min(ordered_at) as ordered_at from app.orders group by user_id
)

select
    CustomerKey as user_id,
    EmailAddress as email,
    FirstName as first_name,
    LastName as last_name,
    Occupation as plan,
    coalesce(first_orders.ordered_at, timestamp '2015-01-01') as created_at,
    created_at as updated_at,
    -- nobody asked those whose gender is not known either: unknown, which is not an opt-out
    if(Gender = 'NA', null, true) as marketing_opt_in,
    if(Gender = 'NA', null, true) as transactional_opt_in
from read_csv($customers, header = true, all_varchar = true) as customers
left join first_orders on first_orders.user_id = customers.CustomerKey
order by user_id
"""

_ORDERS = """
create or replace table app.orders as
select
    OrderNumber as order_id,
    CustomerKey as user_id,
    'completed' as status,
    sum(cast(OrderQuantity as bigint) * cast(ProductPrice as decimal(18, 4))) as amount,
    'USD' as currency,
    strptime(OrderDate, '%m/%d/%Y') as ordered_at
from read_csv($sales, header = true, all_varchar = true) as lines
inner join read_csv($products, header = true, all_varchar = true) as products using (ProductKey)
group by OrderNumber, CustomerKey, OrderDate
order by ordered_at, order_id
"""


def load_adventureworks(database: Path, source: Path) -> None:
    """Creates (or replaces) `app.users` (9,315 rows) and `app.orders` (25,164 rows) in a DuckDB file.

    Args:
        database: the DuckDB file; made when it is missing.
        source: the folder with `Customers.csv`, `Products.csv` and `Sales_2015.csv` to `Sales_2017.csv`, as
            its README describes them.

    Raises:
        duckdb.IOException: a file of the source is missing.
    """
    with duckdb.connect(str(database)) as connection:
        connection.begin()
        connection.execute("create schema if not exists app")
        connection.execute(
            _ORDERS,
            {
                "sales": [str(source / f"Sales_{year}.csv") for year in (2015, 2016, 2017)],
                "products": str(source / "Products.csv"),
            },
        )
        connection.execute(_USERS, {"customers": str(source / "Customers.csv")})
        connection.commit()
