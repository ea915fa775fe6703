{{ config(
    materialized="incremental",
    unique_key="delivery_id",
    on_schema_change="append_new_columns",
    partition_by=on("bigquery", {"field": "first_event_at", "data_type": "timestamp", "granularity": "day"}),
    cluster_by=on("bigquery", ["person_id"]),
    meta={"partition_only_falls": true},
    indexes=on("postgres", [{"columns": ["delivery_id"], "unique": true}], otherwise=[]),
) }}

{%- set news = news("first_event_at", var("delivery_days")) -%}

with events as (

    select
        *,
        metric = 'opened' and is_synthetic and not is_prefetched as is_inferred_open,
        metric = 'opened' and is_prefetched as is_machine_open,
        metric = 'opened' and not is_prefetched and not is_synthetic as is_human_open,
        metric = 'clicked' and is_machine as is_machine_click,
        metric = 'clicked' and not is_machine as is_human_click
    from {{ ref("stg_customerio__webhook_events") }}
    where
        delivery_id is not null
        {% if news.since -%}
        -- whole deliveries again, of which anything is new
        and delivery_id in (
            select recent.delivery_id
            from {{ ref("stg_customerio__webhook_events") }} as recent
            where {{ is_news(news, "recent") }}
        )
        {%- endif %}
        {% if news.first_day -%}
        and event_date >= date '{{ news.first_day }}'
        -- of those that began earlier not all events are read: they stay as they are
        and delivery_id not in (
            select earlier.delivery_id
            from {{ this }} as earlier
            where earlier.first_event_at < timestamp '{{ news.first_day }} 00:00:00'
        )
        {%- endif %}

),

per_delivery as (

    select
        delivery_id,
        {{ latest("person_id") }} as person_id,
        {{ latest("cio_id") }} as cio_id,
        {{ latest("channel") }} as channel,
        max(campaign_id) as campaign_id,
        max(broadcast_id) as broadcast_id,
        max(trigger_id) as trigger_id,
        max(newsletter_id) as newsletter_id,
        max(transactional_message_id) as transactional_message_id,
        max(action_id) as action_id,
        max(content_id) as content_id,
        max(journey_id) as journey_id,
        min(event_at) as first_event_at,
        max(event_at) as last_event_at,
        max(loaded_at) as loaded_at,
        {% for metric in [
            "sent", "delivered", "opened", "clicked", "converted", "replied", "bounced", "dropped", "failed",
            "undeliverable", "unsubscribed", "spammed",
        ] -%}
        min(case when metric = '{{ metric }}' then event_at end) as {{ metric }}_at,
        {% endfor -%}
        {% for kind in ["inferred_open", "machine_open", "human_open", "machine_click", "human_click"] -%}
        min(case when is_{{ kind }} then event_at end) as first_{{ kind }}_at,
        max(case when is_{{ kind }} then event_at end) as last_{{ kind }}_at,
        count(distinct case when is_{{ kind }} then event_id end) as {{ kind }}s,
        {% endfor -%}
        {{ latest("case when metric in ('bounced', 'dropped', 'failed', 'undeliverable') then failure_message end") }}
            as failure_reason
    from events
    group by delivery_id

),

-- an open that Customer.io inferred from a click was whoever clicked: a machine if only machines did
attributed as (

    select
        *,
        human_clicks = 0 and machine_clicks > 0 as is_inferred_from_machine
    from per_delivery

)

select
    delivery_id,
    person_id,
    cio_id,
    channel,
    case
        when broadcast_id is not null then 'broadcast'
        when newsletter_id is not null then 'newsletter'
        when transactional_message_id is not null then 'transactional'
        when campaign_id is not null then 'campaign'
    end as origin_kind,
    coalesce(
        {{ text("broadcast_id") }},
        {{ text("newsletter_id") }},
        transactional_message_id,
        {{ text("campaign_id") }}
    ) as origin_id,
    action_id,
    content_id,
    trigger_id,
    journey_id,
    first_event_at,
    sent_at,
    delivered_at,
    opened_at,
    case
        when is_inferred_from_machine then first_human_open_at
        else {{ least_known(["first_human_open_at", "first_inferred_open_at"]) | indent(8) }}
    end as human_opened_at,
    case
        when is_inferred_from_machine then last_human_open_at
        else {{ greatest_known(["last_human_open_at", "last_inferred_open_at"]) | indent(8) }}
    end as last_human_opened_at,
    case
        when is_inferred_from_machine
            then {{ least_known(["first_machine_open_at", "first_inferred_open_at"]) | indent(12) }}
        else first_machine_open_at
    end as machine_opened_at,
    clicked_at,
    first_human_click_at as human_clicked_at,
    last_human_click_at as last_human_clicked_at,
    first_machine_click_at as machine_clicked_at,
    converted_at,
    replied_at,
    bounced_at,
    dropped_at,
    failed_at,
    undeliverable_at,
    unsubscribed_at,
    spammed_at,
    human_opens + case when is_inferred_from_machine then 0 else inferred_opens end as human_opens,
    machine_opens + case when is_inferred_from_machine then inferred_opens else 0 end as machine_opens,
    human_clicks,
    machine_clicks,
    failure_reason,
    last_event_at,
    loaded_at
from attributed
