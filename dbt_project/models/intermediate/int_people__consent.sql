with users as (

    select * from {{ ref("stg_app__users") }}

),

-- what people said in Customer.io
reported as (

    select
        person_id,
        max(case when kind in ('unsubscribed', 'spam_report') then changed_at end) as unsubscribed_at,
        max(case when kind = 'subscribed' then changed_at end) as subscribed_at,
        max(loaded_at) as loaded_at
    from {{ ref("consent_changes") }}
    where person_id is not null and kind in ('unsubscribed', 'spam_report', 'subscribed')
    group by person_id

),

history as (

    select
        user_id,
        coalesce(marketing_opt_in, false) as opts_in,
        updated_at,
        {{ utc_timestamp("dbt_valid_from") }} as valid_from,
        {{ utc_timestamp("dbt_valid_to") }} as valid_to
    from {{ ref("app_consent_history") }}

),

-- what the application said later than at first: a version that took another's place
changes as (

    select
        later.user_id,
        later.opts_in and not earlier.opts_in as opts_in_again,
        -- undated, it may have happened at any moment since the version before it was seen
        least(coalesce(later.updated_at, earlier.valid_from), later.valid_from) as changed_at,
        later.valid_from as noticed_at
    from history as earlier
    inner join history as later
        on earlier.user_id = later.user_id and earlier.valid_to = later.valid_from

),

answered as (

    select
        user_id,
        max(case when opts_in_again then changed_at end) as opted_in_at,
        max(noticed_at) as noticed_at
    from changes
    group by user_id

),

judged as (

    select
        users.user_id,
        users.marketing_opt_in,
        users.transactional_opt_in,
        case
            when reported.person_id is null then null
            when reported.unsubscribed_at is null then false
            when reported.subscribed_at > reported.unsubscribed_at then false
            when {{ whole_second("answered.opted_in_at") }} > reported.unsubscribed_at then false
            else true
        end as unsubscribed,
        {{ greatest_known(["reported.loaded_at", "answered.noticed_at"]) | indent(8) }} as updated_at
    from users
    left join reported on users.user_id = reported.person_id
    left join answered on users.user_id = answered.user_id

)

select
    user_id,
    case when unsubscribed then false else marketing_opt_in end as marketing_opt_in,
    transactional_opt_in,
    coalesce(marketing_opt_in = false and transactional_opt_in = false, false) as opted_out,
    unsubscribed,
    updated_at
from judged
