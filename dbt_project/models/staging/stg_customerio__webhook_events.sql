{#- On BigQuery a table, so that the JSON of an event is read once: all that follows reads narrow columns. -#}
{{ config(
    materialized=on("bigquery", "incremental", otherwise="view"),
    on_schema_change="append_new_columns",
    partition_by=on("bigquery", {"field": "event_date", "data_type": "date"}),
    cluster_by=on("bigquery", ["loaded_at", "delivery_id"]),
) }}

{%- set news = news("event_date", var("event_delay_days"), type="date") -%}

with source as (

    select *
    from {{ source("customerio", "webhook_events") }} as reported
    {%- if news.since %}
    where
        {{ is_news(news, "reported") }}
        and reported.event_id not in (
            select known.event_id
            from {{ this }} as known
            where {{ is_news(news, "known") }}
        )
    {%- endif %}

),

renamed as (

    select
        source.event_id,
        source.object_type,
        source.metric,
        source.event_at,
        source.event_date,
        source.received_at,
        source.loaded_at,
        source.person_id,
        source.cio_id,
        source.delivery_id,
        nullif(source.object_type, 'customer') as channel,
        source.campaign_id,
        source.action_id,
        source.broadcast_id,
        source.trigger_id,
        source.newsletter_id,
        source.content_id,
        source.transactional_message_id,
        source.journey_id,
        {{ json_text("source.event", "data.parent_action_id") }} as parent_action_id,
        {{ json_text("source.event", "data.recipient") }} as recipient,
        {{ json_text("source.event", "data.subject") }} as subject,
        {{ json_text("source.event", "data.href") }} as href,
        {{ json_text("source.event", "data.link_id") }} as link_id,
        coalesce(
            {{ json_text("source.event", "data.failure_message") }},
            {{ json_text("source.event", "data.recipients[0].failure_message") }}
        ) as failure_message,
        case
            when source.metric like '%subscription_preferences_changed'
                then {{ json_text("source.event", "data.content") }}
        end as topics,
        {{ json_is_true("source.event", "data.proxied") }} as is_proxied,
        {{ json_is_true("source.event", "data.prefetched") }} as is_prefetched,
        {{ json_is_true("source.event", "data.synthetic") }} as is_synthetic,
        {{ json_is_true("source.event", "data.machine") }} as is_machine
    from source

)

select * from renamed
