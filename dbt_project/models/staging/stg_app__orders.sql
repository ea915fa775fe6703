with source as (

    select * from {{ source("app", "orders") }}

),

renamed as (

    select
        {{ text("source.order_id") }} as order_id,
        {{ text("source.user_id") }} as user_id,
        {{ text("source.status") }} as status,
        cast(source.amount as decimal(38, 9)) as amount,
        {{ text("source.currency") }} as currency,
        {{ utc_timestamp("source.ordered_at") }} as ordered_at
    from source

)

select * from renamed
