with deliveries as (

    select
        *,
        cast(coalesce(sent_at, first_event_at) as date) as day,
        -- what was opened arrived, whether or not its arrival was reported; some channels report none
        coalesce(delivered_at, opened_at, clicked_at, converted_at, replied_at, unsubscribed_at, spammed_at) is not null
        or (sent_at is not null and bounced_at is null and channel in ('in_app', 'slack', 'webhook')) as is_reached
    from {{ ref("deliveries") }}

),

counted as (

    select
        origin_kind,
        origin_id,
        action_id,
        content_id,
        channel,
        day,
        count(delivery_id) as deliveries,
        count(case when is_reached or coalesce(sent_at, bounced_at) is not null then 1 end) as sent,
        count(case when is_reached then 1 end) as delivered,
        count(human_opened_at) as human_opened,
        count(machine_opened_at) as machine_opened,
        count(clicked_at) as clicked,
        count(human_clicked_at) as human_clicked,
        count(converted_at) as converted,
        count(bounced_at) as bounced,
        count(dropped_at) as dropped,
        count(failed_at) as failed,
        count(undeliverable_at) as undeliverable,
        count(unsubscribed_at) as unsubscribed,
        count(spammed_at) as spammed
    from deliveries
    group by origin_kind, origin_id, action_id, content_id, channel, day

)

select
    concat(
        coalesce(origin_kind, '-'),
        '/',
        coalesce(origin_id, '-'),
        '/',
        coalesce({{ text("action_id") }}, '-'),
        '/',
        coalesce({{ text("content_id") }}, '-'),
        '/',
        coalesce(channel, '-'),
        '/',
        {{ text("day") }}
    ) as performance_id,
    origin_kind,
    origin_id,
    action_id,
    content_id,
    channel,
    day,
    deliveries,
    sent,
    delivered,
    human_opened,
    machine_opened,
    clicked,
    human_clicked,
    converted,
    bounced,
    dropped,
    failed,
    undeliverable,
    unsubscribed,
    spammed,
    {{ rate("delivered", "sent") }} as delivery_rate,
    {{ rate("bounced", "sent") }} as bounce_rate,
    {{ rate("human_opened", "delivered") }} as human_open_rate,
    {{ rate("human_clicked", "delivered") }} as human_click_rate,
    {{ rate("converted", "delivered") }} as conversion_rate,
    {{ rate("unsubscribed", "delivered") }} as unsubscribe_rate,
    {{ rate("spammed", "delivered") }} as spam_rate
from counted
