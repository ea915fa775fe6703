with orders as (

    select
        *,
        case
            when lower(status) in ('cancelled', 'canceled', 'refunded') then null
            else amount
        end as counted_amount
    from {{ ref("stg_app__orders") }}

),

per_user as (

    select
        user_id,
        count(order_id) as orders_count,
        coalesce(sum(counted_amount), 0) as lifetime_value,
        sum(counted_amount) / nullif(count(counted_amount), 0) as average_order_value,
        min(ordered_at) as first_ordered_at,
        max(ordered_at) as last_ordered_at
    from orders
    where user_id is not null
    group by user_id

)

select
    user_id,
    orders_count,
    cast(lifetime_value as decimal(38, 9)) as lifetime_value,
    -- DuckDB divides to a float, in which 133.855 is a little less: made exact before it is rounded
    cast(round(cast(average_order_value as decimal(38, 9)), 2) as decimal(31, 2)) as average_order_value,
    first_ordered_at,
    last_ordered_at
from per_user
