{#- The greatest of the expressions that are not NULL. -#}
{% macro greatest_known(expressions) -%}
    {{ extreme_known("greatest", expressions) }}
{%- endmacro %}

{#- The least of the expressions that are not NULL. -#}
{% macro least_known(expressions) -%}
    {{ extreme_known("least", expressions) }}
{%- endmacro %}

{#- BigQuery's greatest() and least() are NULL as soon as one argument is; DuckDB's are not: each argument falls back
    to the others, so that both agree. -#}
{% macro extreme_known(function, expressions) -%}
    {{ function }}(
    {%- for i in range(expressions | length) %}
        coalesce({{ (expressions[i:] + expressions[:i]) | join(", ") }}){{ "," if not loop.last }}
    {%- endfor %}
    )
{%- endmacro %}
