{{ config(
    partition_by=on("bigquery", {
        "field": "updated_at", "data_type": "timestamp", "granularity": var("people_partitions")
    }),
    cluster_by=on("bigquery", ["person_id"]),
    indexes=on("postgres", [{"columns": ["person_id"], "unique": true}], otherwise=[]),
) }}

with users as (

    select * from {{ ref("stg_app__users") }}

),

orders as (

    select * from {{ ref("int_people__orders") }}

),

consent as (

    select * from {{ ref("int_people__consent") }}

)

select
    -- control columns: the sync reads them and never sends them
    users.user_id as person_id,
    coalesce(
        {{ greatest_known(["users.updated_at", "orders.last_ordered_at", "consent.updated_at"]) | indent(8) }},
        users.created_at
    ) as updated_at,
    consent.opted_out,
    users.deleted_at,
    -- attributes: each column below is one in Customer.io
    users.email,
    users.first_name,
    users.last_name,
    users.plan,
    users.created_at,
    consent.marketing_opt_in,
    consent.transactional_opt_in,
    consent.unsubscribed,
    coalesce(orders.orders_count, 0) as orders_count,
    coalesce(orders.lifetime_value, 0) as lifetime_value,
    orders.average_order_value,
    orders.first_ordered_at,
    orders.last_ordered_at
from users
left join consent on users.user_id = consent.user_id
left join orders on users.user_id = orders.user_id
