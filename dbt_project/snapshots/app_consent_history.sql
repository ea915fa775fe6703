{% snapshot app_consent_history %}

{{ config(
    strategy="check",
    unique_key="user_id",
    check_cols=["marketing_opt_in", "transactional_opt_in"],
) }}

select
    user_id,
    marketing_opt_in,
    transactional_opt_in,
    updated_at
from {{ ref("stg_app__users") }}

{% endsnapshot %}
