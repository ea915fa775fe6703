{#- The greatest of the expressions that are not NULL. BigQuery's greatest() is NULL as soon as one argument is;
    DuckDB's is not: each argument falls back to the others, so that both agree. -#}
{% macro greatest_known(expressions) -%}
    greatest(
    {%- for i in range(expressions | length) %}
        coalesce({{ (expressions[i:] + expressions[:i]) | join(", ") }}){{ "," if not loop.last }}
    {%- endfor %}
    )
{%- endmacro %}
