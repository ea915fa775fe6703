{{ config(
    materialized=on("bigquery", "incremental", otherwise="table"),
    on_schema_change="append_new_columns",
    partition_by=on("bigquery", {"field": "changed_at", "data_type": "timestamp", "granularity": "month"}),
    cluster_by=on("bigquery", ["person_id"]),
) }}

{%- set news = news("changed_at", var("event_delay_days")) -%}

with events as (

    select
        *,
        case
            when metric in ('unsubscribed', 'subscribed') then metric
            when metric like '%subscription_preferences_changed' then 'preferences_changed'
            when metric = 'spammed' then 'spam_report'
            when metric = 'bounced' and channel = 'email' then 'hard_bounce'
        end as kind
    from {{ ref("stg_customerio__webhook_events") }} as reported
    where {{ is_news(news, "reported") }}

)

select
    event_id,
    person_id,
    cio_id,
    event_at as changed_at,
    kind,
    channel,
    topics,
    delivery_id,
    loaded_at
from events
where kind is not null
    {%- if news.since %}
    and event_id not in (
        select known.event_id
        from {{ this }} as known
        where
            known.changed_at >= timestamp '{{ news.first_day }} 00:00:00'
            and known.loaded_at >= timestamp '{{ news.since }}'
    )
    {%- endif %}
