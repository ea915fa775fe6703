{#- A timestamp without its fraction of a second: Customer.io reports whole seconds, and they are compared. -#}
{% macro whole_second(expression) -%}
    {{ return(adapter.dispatch("whole_second", "cio_pipelines")(expression)) }}
{%- endmacro %}

{% macro default__whole_second(expression) -%}
    timestamp_trunc({{ expression }}, second)
{%- endmacro %}

{% macro duckdb__whole_second(expression) -%}
    date_trunc('second', {{ expression }})
{%- endmacro %}

{% macro postgres__whole_second(expression) -%}
    date_trunc('second', {{ expression }})
{%- endmacro %}
