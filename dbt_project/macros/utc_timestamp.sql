{#- A date, timestamp or timestamp with time zone as a timestamp in UTC, whatever the session's time zone.
    A value without a zone is read as UTC. -#}
{% macro utc_timestamp(expression) -%}
    {{ return(adapter.dispatch("utc_timestamp", "cio_pipelines")(expression)) }}
{%- endmacro %}

{#- BigQuery's TIMESTAMP is an instant; its casts read zoneless values as UTC. -#}
{% macro default__utc_timestamp(expression) -%}
    cast({{ expression }} as timestamp)
{%- endmacro %}

{#- A plain cast of TIMESTAMPTZ would follow the session's time zone. -#}
{% macro duckdb__utc_timestamp(expression) -%}
    make_timestamp(epoch_us({{ expression }}))
{%- endmacro %}

{#- A view is read in other sessions, whose time zones a cast would follow. -#}
{% macro postgres__utc_timestamp(expression) -%}
    (timestamp '1970-01-01 00:00:00' + extract(epoch from {{ expression }}) * interval '1 second')
{%- endmacro %}
