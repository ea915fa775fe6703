with source as (

    select * from {{ source("app", "users") }}

),

renamed as (

    select
        {{ text("source.user_id") }} as user_id,
        nullif({{ text("source.email") }}, '') as email,
        nullif({{ text("source.first_name") }}, '') as first_name,
        nullif({{ text("source.last_name") }}, '') as last_name,
        {{ text("source.plan") }} as plan,
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
