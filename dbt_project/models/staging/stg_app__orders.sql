with source as (

    select * from {{ source("app", "orders") }}

),

renamed as (

    select
        cast(source.order_id as string) as order_id,
        cast(source.user_id as string) as user_id,
        cast(source.status as string) as status,
        cast(source.amount as decimal(38, 9)) as amount,
        cast(source.currency as string) as currency,
        {{ utc_timestamp("source.ordered_at") }} as ordered_at
    from source

)

select * from renamed
