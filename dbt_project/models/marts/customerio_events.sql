{{ config(
    partition_by=on("bigquery", {
        "field": "occurred_at", "data_type": "timestamp", "granularity": var("event_partitions")
    }),
    cluster_by=on("bigquery", ["event_id"]),
    indexes=on("postgres", [{"columns": ["event_id"], "unique": true}], otherwise=[]),
) }}

with orders as (

    select * from {{ ref("stg_app__orders") }}

),

people as (

    select person_id
    from {{ ref("customerio_people") }}
    -- an event makes a profile of an id that Customer.io does not know, and nothing of one that is suppressed
    where deleted_at is null and not opted_out

)

select
    -- control columns: who did what, and when
    concat('order_placed/', orders.order_id) as event_id,
    orders.user_id as person_id,
    'order_placed' as name,
    orders.ordered_at as occurred_at,
    -- properties: each column below is one of the event
    orders.order_id,
    orders.status,
    orders.amount,
    orders.currency
from orders
inner join people on orders.user_id = people.person_id
