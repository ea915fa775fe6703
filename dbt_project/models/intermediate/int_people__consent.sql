select
    user_id,
    marketing_opt_in,
    transactional_opt_in,
    coalesce(marketing_opt_in = false and transactional_opt_in = false, false) as opted_out
from {{ ref("stg_app__users") }}
