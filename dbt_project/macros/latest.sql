{#- Of a group of events, what the latest one says that says anything; of two in one second the greater id's. -#}
{% macro latest(expression) -%}
    {{ return(adapter.dispatch("latest", "cio_pipelines")(expression)) }}
{%- endmacro %}

{% macro default__latest(expression) -%}
    max_by(
        {{ expression }},
        case when {{ expression }} is not null then concat(format_timestamp('%F %T', event_at), event_id) end
    )
{%- endmacro %}

{% macro postgres__latest(expression) -%}
    (array_agg({{ expression }} order by event_at desc, event_id desc) filter (where {{ expression }} is not null))[1]
{%- endmacro %}

{% macro duckdb__latest(expression) -%}
    arg_max({{ expression }}, (event_at, event_id))
{%- endmacro %}
