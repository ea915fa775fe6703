with events as (

    select
        *,
        case
            when metric in ('unsubscribed', 'subscribed') then metric
            when metric like '%subscription_preferences_changed' then 'preferences_changed'
            when metric = 'spammed' then 'spam_report'
            when metric = 'bounced' and channel = 'email' then 'hard_bounce'
        end as kind
    from {{ ref("stg_customerio__webhook_events") }}

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
