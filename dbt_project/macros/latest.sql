{#- Of a group of events, what the latest one says that says anything; of two in one second the greater id's. -#}
{% macro latest(expression) -%}
    {{ return(adapter.dispatch("latest", "cio_pipelines")(expression)) }}
{%- endmacro %}

{% macro default__latest(expression) -%}
    array_agg({{ expression }} ignore nulls order by event_at desc, event_id desc limit 1)[safe_offset(0)]
{%- endmacro %}

{% macro duckdb__latest(expression) -%}
    arg_max({{ expression }}, (event_at, event_id))
{%- endmacro %}
