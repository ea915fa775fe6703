{#- One count as a share of another, to 6 decimals; NULL of none. -#}
{% macro rate(part, whole) -%}
    cast({{ part }} / nullif({{ whole }}, 0) as decimal(9, 6))
{%- endmacro %}
