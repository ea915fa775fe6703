"""The SQL of the demo company. Values are bound; every draw is a hash of the person and the thing drawn."""

MACROS = """
-- a whole number in [0, n), the same for ever for a key and a salt
create or replace temp macro draw(key, salt, n) as cast(hash(key, salt) % n as bigint);
-- a number in [0, 1)
create or replace temp macro share(key, salt) as draw(key, salt, 1000000) / 1e6;
"""

PEOPLE = """
create or replace temp table person as
with cases_of_row as (
    select c.name, rank, rank - c.low as member
    from (select unnest($row_cases) as c), unnest(range(c.low, c.high)) as ranks (rank)
),

cases_of_extra as (
    select c.name, rank
    from (select unnest($extra_cases) as c), unnest(range(c.low, c.high)) as ranks (rank)
)

select
    i,
    hash(i, cast($seed as bigint)) as key,
    cases_of_row.name as row_case,
    cases_of_row.member,
    cases_of_extra.name as extra_case,
    case row_case
        when 'id_with_slash' then concat('acme/emea / ', i)
        when 'id_with_quotes' then concat('O''Brien "Zoë" 零 ', i)
        when 'id_150_bytes' then rpad(concat(i, '-'), 150, 'x')
        -- 75 two-byte characters: more than 150 bytes in fewer than 150 characters
        when 'id_too_long' then concat(i, '-', repeat('é', 75))
        else printf('u%07d', i)
    end as user_id
from range(cast($people as bigint)) as numbers (i)
left join cases_of_row
    on cases_of_row.rank = (i * $row_step + $seed) % $people
left join cases_of_extra
    on cases_of_extra.rank = (i * $extra_step + $seed) % $people
"""

# A table and no CTE: DuckDB then knows how short it is, and does not hold all people to look them up by name.
NAMES = """
create or replace temp table names as
select n.script, n.position, n.size, n.first, n.last from (select unnest($names) as n)
"""

USERS = """
create or replace table app.users as
with scripts as (
    select distinct script, size from names
),

drawn as (
    select
        person.*,
        coalesce(scripts.script, 'latin') as script,
        coalesce(scripts.size, (select size from scripts where script = 'latin')) as size,
        -- one in 200 changed since midnight; the others back over three years, more of them lately
        case
            when i % 200 = 0 then
                $now - to_seconds(floor(
                    share(key, 'age') * date_diff('second', date_trunc('day', $now), $now)
                ))
            else $now - to_seconds(floor(share(key, 'age') * share(key, 'age') * 1095 * 86400))
        end as updated_at
    from person
    left join scripts on scripts.script = person.extra_case
)

select
    user_id,
    case row_case
        when 'null_email' then null
        when 'empty_email' then ''
        when 'shared_email' then concat('household.', member // 2, '@example.com')
        when 'shared_email_in_other_case' then
            if(
                member % 2 = 0,
                concat('Office.', member // 2, '@Example.com'),
                concat('office.', member // 2, '@example.com')
            )
        else concat('person.', i, '@example.com')
    end as email,
    case row_case
        when 'null_first_name' then null
        when 'first_name_too_long_ascii' then repeat('Wolfe', 201)
        when 'first_name_too_long_multibyte' then repeat('山', 334)
        when 'first_name_1000_bytes_ascii' then repeat('Wolfe', 200)
        when 'first_name_1000_bytes_multibyte' then repeat('é', 500)
        when 'control_characters' then concat(given.first, chr(1), chr(7), chr(27), '[0m', chr(127), chr(133))
        when 'quotes' then concat('"', given.first, '" ''d''Arc` “x”')
        when 'backslashes' then concat('C:\\', given.first, '\\n\\u0041\\')
        when 'newlines' then concat(given.first, chr(10), 'Jr.', chr(13), chr(10))
        when 'tabs' then concat(chr(9), given.first, chr(9), '2nd')
        when 'line_separators' then concat(given.first, chr(8232), chr(8233), 'x')
        else given.first
    end as first_name,
    case when extra_case = 'null_last_name' then null else family.last end as last_name,
    case
        when row_case = 'null_plan' then null
        when draw(key, 'plan', 100) < 55 then 'free'
        when draw(key, 'plan', 100) < 80 then 'basic'
        when draw(key, 'plan', 100) < 95 then 'pro'
        else 'enterprise'
    end as plan,
    case row_case
        when 'null_created_at' then null
        when 'created_before_1970' then
            timestamp '1969-12-31 23:59:59' - to_days(cast(draw(key, 'created', 25000) as integer))
        when 'created_in_2100' then timestamp '2100-02-28 23:59:59'
        when 'created_in_9999' then timestamp '9999-12-31 23:59:59'
        else updated_at - to_seconds(floor(share(key, 'created') * 730 * 86400))
    end as created_at,
    updated_at,
    case
        when row_case in ('opted_out', 'marketing_refused') then false
        when row_case in ('marketing_unknown', 'consent_unknown') then null
        else true
    end as marketing_opt_in,
    case
        when row_case in ('opted_out', 'transactional_refused') then false
        when row_case in ('transactional_unknown', 'consent_unknown') then null
        else true
    end as transactional_opt_in,
    case when row_case = 'deleted' then updated_at end as deleted_at
from drawn
inner join names as given
    on given.script = drawn.script and given.position = draw(key, 'given', drawn.size)
inner join names as family
    on family.script = drawn.script and family.position = draw(key, 'family', drawn.size)
order by i
"""

ORDERS = """
create or replace table app.orders as
with counted as (
    select
        person.*,
        users.updated_at,
        -- about 3 a person: a quarter order nothing, a few a lot; whoever has an odd order has one at least
        greatest(
            least(60, cast(floor(-3.476 * ln(1 - share(key, 'orders'))) as bigint)),
            if(extra_case in $order_cases, 1, 0)
        ) as orders
    from person
    inner join app.users on users.user_id = person.user_id
),

drawn as (
    select
        *,
        hash(key, number) as order_key,
        if(number = 0, extra_case, null) as odd
    from counted, unnest(range(orders)) as numbers (number)
)

select
    i * 64 + number as order_id,
    user_id,
    case
        when odd = 'null_status' then null
        when odd in ('large_amount', 'tiny_amount') then 'completed'
        when draw(order_key, 'status', 100) < 88 then 'completed'
        when draw(order_key, 'status', 100) < 92 then 'pending'
        when draw(order_key, 'status', 100) < 97 then 'cancelled'
        else 'refunded'
    end as status,
    cast(case odd
        when 'null_amount' then null
        when 'large_amount' then 123456789012.34 + number
        when 'tiny_amount' then 0.000001
        else cast(500 + floor(pow(share(order_key, 'amount'), 3) * 49500) as bigint) * 0.01
    end as decimal(18, 6)) as amount,
    case
        when odd = 'null_currency' then null
        when draw(key, 'currency', 10) < 6 then 'EUR'
        when draw(key, 'currency', 10) < 9 then 'USD'
        else 'GBP'
    end as currency,
    case
        when odd = 'null_ordered_at' then null
        -- one order in ten is newer than the user's row, which it does not touch
        when draw(order_key, 'late', 10) = 0 then
            updated_at + to_seconds(floor(share(order_key, 'when') * date_diff('second', updated_at, $now)))
        else updated_at - to_seconds(floor(share(order_key, 'when') * 400 * 86400))
    end as ordered_at
from drawn
union all
select
    cast($people as bigint) * 64 + number as order_id,
    concat('guest-', number) as user_id,
    'completed' as status,
    cast(19.99 as decimal(18, 6)) as amount,
    'EUR' as currency,
    $now - to_seconds(draw(number, 'guest', 30 * 86400)) as ordered_at
from range(cast($unknown as bigint)) as guests (number)
"""

CHOSEN = """
create or replace temp table chosen as
with ranked as (
    select
        user_id,
        coalesce(not marketing_opt_in and not transactional_opt_in, false) as opted_out,
        row_number() over (order by hash(user_id, cast($seed as bigint)), user_id) - 1 as position,
        count(*) over () as people
    from app.users
    where deleted_at is null
)

select
    user_id,
    position,
    case
        when opted_out then 'returns'
        when position % 10 < 4 then 'plan'
        when position % 10 < 7 then 'order'
        when position % 10 < 9 then 'name'
        when position % 80 = 79 then 'refuses'
        else 'answers'
    end as kind
from ranked
where position < round($share * people)
"""

NEW_ORDERS = """
insert into app.orders
select
    (select coalesce(max(order_id), 0) from app.orders) + row_number() over (order by position) as order_id,
    user_id,
    'completed' as status,
    (500 + draw(user_id, 'new amount', 49500)) * 0.01 as amount,
    'EUR' as currency,
    $now as ordered_at
from chosen
where kind = 'order'
"""

# each CASE ends somewhere else than it began, however often it is applied
CHANGE = """
update app.users
set
    updated_at = $now,
    plan = case
        when kind <> 'plan' then plan
        when plan = 'free' then 'basic'
        when plan = 'basic' then 'pro'
        when plan = 'pro' then 'enterprise'
        else 'free'
    end,
    last_name = case
        when kind <> 'name' then last_name
        when last_name like '%-Neu' then left(last_name, -4)
        else concat(last_name, '-Neu')
    end,
    marketing_opt_in = case
        when kind = 'returns' then true
        when kind = 'refuses' then false
        when kind <> 'answers' then marketing_opt_in
        when not transactional_opt_in then true
        else not coalesce(marketing_opt_in, false)
    end,
    transactional_opt_in = case
        when kind = 'refuses' then false
        when kind = 'answers' and not transactional_opt_in then true
        else transactional_opt_in
    end
from chosen
where users.user_id = chosen.user_id
"""

CHANGE_PLAN = """
update app.users
set plan = if(plan = 'enterprise', 'basic', 'enterprise')
where user_id = $user_id
returning user_id
"""
