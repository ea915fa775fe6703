{#- One count as a share of another, to 6 decimals; NULL of none. -#}
{% macro rate(part, whole) -%}
    {{ return(adapter.dispatch("rate", "cio_pipelines")(part, whole)) }}
{%- endmacro %}

{% macro default__rate(part, whole) -%}
    cast({{ part }} / nullif({{ whole }}, 0) as decimal(9, 6))
{%- endmacro %}

{#- PostgreSQL divides integers to an integer. -#}
{% macro postgres__rate(part, whole) -%}
    cast(cast({{ part }} as decimal) / nullif({{ whole }}, 0) as decimal(9, 6))
{%- endmacro %}
