with source as (

    select * from {{ source("app", "users") }}

),

renamed as (

    select
        cast(source.user_id as string) as user_id,
        nullif(cast(source.email as string), '') as email,
        nullif(cast(source.first_name as string), '') as first_name,
        nullif(cast(source.last_name as string), '') as last_name,
        cast(source.plan as string) as plan,
        {{ utc_timestamp("source.created_at") }} as created_at,
        {{ utc_timestamp("source.updated_at") }} as updated_at,
        cast(source.marketing_opt_in as boolean) as marketing_opt_in,
        cast(source.transactional_opt_in as boolean) as transactional_opt_in,
        {% if has_column(source("app", "users"), "deleted_at") -%}
        {{ utc_timestamp("source.deleted_at") }} as deleted_at
        {%- else -%}
        cast(null as timestamp) as deleted_at
        {%- endif %}
    from source

)

select * from renamed
