{{ config(
    partition_by=on("bigquery", {"field": "day", "data_type": "date", "granularity": "month"}),
    cluster_by=on("bigquery", ["day"]),
) }}

with people as (

    select * from {{ ref("customerio_people") }}

)

select
    cast({{ dbt.dateadd("day", var("win_back_days", 90), "last_ordered_at") }} as date) as day,
    person_id,
    -- data of the person for the message: each column below can be used in it
    plan,
    orders_count,
    last_ordered_at
from people
where
    last_ordered_at is not null
    and deleted_at is null
    and not opted_out
    -- a win-back is marketing: unknown consent is no consent here
    and marketing_opt_in
