{{ config(cluster_by=on("bigquery", ["person_id"])) }}

select
    person_id,
    max(sent_at) as last_sent_at,
    max(delivered_at) as last_delivered_at,
    max(last_human_opened_at) as last_opened_at,
    max(last_human_clicked_at) as last_clicked_at,
    max(case when channel = 'email' then bounced_at end) as email_bounced_at,
    count(sent_at) as messages_sent,
    count(delivered_at) as messages_delivered,
    count(human_opened_at) as messages_opened,
    count(human_clicked_at) as messages_clicked,
    max(loaded_at) as updated_at
from {{ ref("deliveries") }}
where person_id is not null
group by person_id
